//! Chains as PEM text, read strictly: certificates and nothing else.
//!
//! Decides: a chain is blocks of `CERTIFICATE`, base64 in lines of 64, one line feed each, as Intel's service and quoting enclaves write it.
//! Parsers in the field skip whatever stands before, between and after the blocks; nobody signed that, so here it is refused and one chain
//! has one spelling. What may follow the last block, because real quotes and answers differ in it: nothing, a line feed, or a zero byte.
//! Trusts: nothing. Out of scope: base64 and DER (`dcap-qvl` decodes both strictly), signatures. Protocol section 1.2, A10.

use crate::error::VerifyError;

const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
const END: &[u8] = b"-----END CERTIFICATE-----";
/// Characters of a full line.
const LINE: usize = 64;

/// Fails unless `text` is certificates and nothing else; `what` names the chain.
pub(crate) fn certificates_only(what: &'static str, text: &[u8]) -> Result<(), VerifyError> {
    let refused = |line: usize| VerifyError::PemText { what, line };
    let text = text.strip_suffix(b"\0").or_else(|| text.strip_suffix(b"\n").filter(|rest| rest.ends_with(b"\n"))).unwrap_or(text);
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    // where the current block stands: outside, or inside after this many characters in its last line
    let mut inside: Option<usize> = None;
    let mut number = 0usize;
    for line in text.split(|byte| *byte == b'\n') {
        number = number.saturating_add(1);
        inside = match inside {
            None if line == BEGIN => Some(LINE),
            Some(before) if line == END && before > 0 && number > 2 => None,
            Some(LINE) if is_base64(line) => Some(line.len()),
            _ => return Err(refused(number)),
        };
    }
    match inside {
        None => Ok(()),
        Some(_) => Err(refused(number)),
    }
}

/// One line of base64: 1 to 64 characters in groups of four, padding at its end only.
fn is_base64(line: &[u8]) -> bool {
    let digits = line.strip_suffix(b"==").or_else(|| line.strip_suffix(b"=")).unwrap_or(line);
    let plain = digits.iter().all(|byte| byte.is_ascii_alphanumeric() || [b'+', b'/'].contains(byte));
    plain && (1..=LINE).contains(&line.len()) && line.len().is_multiple_of(4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;

    fn block(lines: &[&str]) -> String {
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
    }

    #[test]
    fn certificates_pass_and_nothing_else_does() {
        let full = "A".repeat(64);
        let good = block(&[&full, "AAA="]);
        for text in
            [good.clone(), format!("{good}{good}"), format!("{good}\n"), format!("{good}\0"), good.trim_end().into(), block(&[&full])]
        {
            assert_eq!(certificates_only("it", text.as_bytes()), Ok(()), "{text:?}");
        }
        let bad = [
            String::new(),
            String::from("\n"),
            format!("x{good}"),
            format!("\n{good}"),
            format!("{good}\n{good}"),
            format!("{good}# text\n{good}"),
            format!("{good}\n\n"),
            format!("{good}\n\0"),
            format!("{good}\0\0"),
            format!("{good} "),
            good.replace('\n', "\r\n"),
            good.replace("CERTIFICATE", "TRUSTED CERTIFICATE"),
            good.replace("-----END", "----END"),
            block(&["AAAA", &full]),
            block(&["AAA"]),
            block(&["AAA=", "AAA="]),
            block(&["A=A="]),
            block(&["AA A"]),
            block(&[&"A".repeat(68)]),
            block(&[]),
            format!("{good}-----BEGIN CERTIFICATE-----\n"),
            format!("{good}{full}\n"),
        ];
        for text in bad {
            assert!(matches!(certificates_only("it", text.as_bytes()), Err(VerifyError::PemText { what: "it", .. })), "{text:?}");
        }
    }
}
