//! What a recovering node and a node that assists it say to each other, over an attested session: which files a data folder has, and their bytes.
//!
//! Decides: the words. Files are named by the life they belong to and a name of a closed alphabet, never by a path.
//! Trusts: nothing; what arrives is judged as a disk that was carried by hand. Out of scope: files (`node`), seals (`consensus`).
//! Protocol section 6.2, DR3.

use crate::bounded::{Blob, List, Text};
use crate::ids::{Digest, Incarnation};
use crate::limits::{ASSIST_FILES, ASSIST_PART_BYTES, SLOTS};
use crate::recovery::DiskNote;
use crate::{choice, message, record};

message! {
    /// One question of a recovering node.
    pub struct AssistAsk = AssistAsk {
        /// What.
        pub op: AssistOp,
    }
}

choice! {
    /// What it asks.
    #[derive(Copy)]
    pub enum AssistOp {
        /// Which files there are.
        1 => List,
        /// Bytes of one of them.
        2 => Part(AssistPart),
        /// SHA-256 of one of them, by its number in the list.
        3 => Digest(u32),
    }
}

record! {
    /// Where bytes are wanted from.
    #[derive(Copy)]
    pub struct AssistPart {
        /// Number of the file in the list.
        pub file: u32,
        /// Offset.
        pub offset: u64,
    }
}

message! {
    /// The answer.
    pub struct AssistReply = AssistReply {
        /// What.
        pub answer: AssistAnswer,
    }
}

choice! {
    /// What is answered.
    pub enum AssistAnswer {
        /// The files.
        1 => Folder(AssistFolder),
        /// Bytes of a file, from the offset on; none at its end.
        2 => Bytes(Blob<ASSIST_PART_BYTES>),
        /// SHA-256 of a file.
        3 => Digest(Digest),
        /// It cannot be read.
        4 => Unreadable,
    }
}

record! {
    /// What a data folder has that a recovery reads.
    pub struct AssistFolder {
        /// The files, in their order.
        pub files: List<AssistFile, ASSIST_FILES>,
        /// What they seem to hold; for people, nothing rests on it.
        pub notes: List<DiskNote, SLOTS>,
    }
}

record! {
    /// One file.
    pub struct AssistFile {
        /// The life it belongs to; none for the recovery file.
        pub life: Option<Incarnation>,
        /// Its name.
        pub name: Text<64>,
        /// Its size.
        pub bytes: u64,
    }
}

/// Name of the recovery file, the one file that belongs to no life.
pub const RECOVERY_NAME: &str = "recovery.blob";

impl AssistFile {
    /// Whether it may be called so: a name of what a life writes, in letters that make no path.
    pub fn is_named_well(&self) -> bool {
        let letters = self.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.');
        match self.life {
            None => &*self.name == RECOVERY_NAME,
            Some(_) => letters && !self.name.contains("..") && (self.name.starts_with("log-") || self.name.starts_with("snapshot-")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_makes_no_path() {
        let file =
            |life: Option<u64>, name: &str| AssistFile { life: life.map(Incarnation), name: Text::new(name).expect("short"), bytes: 1 };
        for name in ["log-0000000000000001", "snapshot-0000000000000007", "snapshot-0000000000000007.seal"] {
            assert!(file(Some(7), name).is_named_well(), "{name}");
        }
        assert!(file(None, "recovery.blob").is_named_well());
        for name in
            ["", "..", "log-/../x", "log-..", "snapshot-a/b", "/log-1", "recovery.blob", "platform.wrap", "base-1", "log-A", "log-\\"]
        {
            assert!(!file(Some(7), name).is_named_well(), "{name}");
        }
        assert!(!file(None, "log-0000000000000001").is_named_well());
    }
}
