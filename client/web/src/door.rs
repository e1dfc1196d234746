//! The one way into a module and out of it: a question of bytes, an answer of bytes.
//!
//! Decides: the calling convention. The page asks for [`room`], writes the question there, calls a function by its name, which gives the answer's length, and reads
//! the answer where [`answered`] says. A question is used once. A panic ends the instance: the page sees a trap, and makes a new one.
//! Questions may hold seeds and answers phrases: each is overwritten before its memory is given back, an answer at the next call.
//! `exported!` gives functions their names in a module, which is the one thing here the compiler counts as unsafe.
//! Trusts: the page, with which it shares its memory. Out of scope: what questions mean; `client/web/page/door.mjs` is the other side.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes of a question: all shared vectors are 4 MB, the largest answer of a node is far below.
pub const QUESTION_BYTES: usize = 64 * 1024 * 1024;

static QUESTION: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static ANSWER: Mutex<Vec<u8>> = Mutex::new(Vec::new());

fn held(bytes: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    bytes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Overwrites what may have been a secret. What is written here is looked at by nobody, and must not be left out.
fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    std::hint::black_box(&*bytes);
}

/// Puts bytes in place of others, and gives those, which are overwritten.
fn replaced(held: &mut Vec<u8>, with: Vec<u8>) -> Vec<u8> {
    wipe(held);
    std::mem::replace(held, with)
}

/// Room for a question of `len` bytes, zero until they are written; null when that is too many.
pub fn room(len: u32) -> *mut u8 {
    let Some(len) = usize::try_from(len).ok().filter(|len| *len <= QUESTION_BYTES) else { return std::ptr::null_mut() };
    let mut question = held(&QUESTION);
    replaced(&mut question, vec![0; len]);
    question.as_mut_ptr()
}

/// Answers the question that lies in the room; the answer's length.
///
/// # Panics
/// For an answer above 4 GiB, which no module has the memory for.
pub fn answer(work: impl FnOnce(&[u8]) -> Vec<u8>) -> u32 {
    replaced(&mut held(&ANSWER), Vec::new());
    let mut question = std::mem::take(&mut *held(&QUESTION));
    let given = work(&question);
    wipe(&mut question);
    let len = u32::try_from(given.len()).expect("an answer fits the memory of a module");
    replaced(&mut held(&ANSWER), given);
    len
}

/// Where the last answer lies, until the next.
pub fn answered() -> *const u8 {
    held(&ANSWER).as_ptr()
}

/// Exports functions of the module that says this, each `fn(&[u8]) -> Vec<u8>`, under their own names, besides `room` and `answered`. Compiled for wasm32 alone.
#[macro_export]
macro_rules! exported {
    ($($name:ident),+ $(,)?) => {
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, reason = "a name in the module's table of exports; no memory is touched")]
        mod exported {
            #[unsafe(no_mangle)]
            extern "C" fn room(len: u32) -> *mut u8 {
                $crate::door::room(len)
            }

            #[unsafe(no_mangle)]
            extern "C" fn answered() -> *const u8 {
                $crate::door::answered()
            }

            $(
                #[unsafe(no_mangle)]
                extern "C" fn $name() -> u32 {
                    $crate::door::answer(super::$name)
                }
            )+
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_replaced_is_overwritten() {
        let mut place = b"abandon ability able".to_vec();
        assert_eq!(replaced(&mut place, b"about".to_vec()), [0; 20]);
        assert_eq!(place, b"about");
        wipe(&mut place);
        assert_eq!(place, [0; 5]);
    }

    #[test]
    fn an_answer_is_gone_as_soon_as_the_next_call_begins() {
        assert_eq!(answer(|_| b"abandon ability able".to_vec()), 20);
        let seen = std::cell::Cell::new(usize::MAX);
        assert_eq!(answer(|_| (seen.set(held(&ANSWER).len()), vec![7; 3]).1), 3);
        assert_eq!((seen.get(), held(&ANSWER).as_slice()), (0, &[7; 3][..]));
    }
}
