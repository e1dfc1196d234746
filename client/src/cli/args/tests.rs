//! What can be typed parses, what cannot is told apart, and the help names every exit code.
//!
//! Decides: one line for each verb, one for each way to be wrong. Trusts: clap. Out of scope: what verbs do.

#![allow(clippy::unwrap_used)]

use super::*;
use clap::CommandFactory;
use clap::error::ErrorKind;

fn parse(line: &str) -> Result<Arguments, clap::Error> {
    Arguments::try_parse_from(line.split_whitespace())
}

#[test]
fn the_definition_is_sound() {
    Arguments::command().debug_assert();
}

#[test]
fn what_ends_keys_parses() {
    for line in [
        "ringwall erase notes --card c --credential me",
        "ringwall erase --everything --yes --json",
        "ringwall user rekey --mode user --new k --erase a=a-2 b=b-2",
        "ringwall user rekey --mode dual --new k --overwrite a=a-2",
    ] {
        assert!(parse(line).is_ok(), "{line}: {:?}", parse(line).err().map(|error| error.to_string()));
    }
}

/// One line for each verb, with most of its options.
const EVERY_VERB: &[&str] = &[
    "ringwall init --credential me",
    "ringwall --card c put notes k --ttl 5 --if-absent",
    "ringwall put notes --key-file f --file v",
    "ringwall get notes k --json --output o",
    "ringwall delete notes k --if-version 3",
    "ringwall list notes a/ --values --limit 5 --after a/b",
    "ringwall cas notes k --expect 0 --file v",
    "ringwall batch notes",
    "ringwall watch notes --after 0 --count 1",
    "ringwall status --timeout 5",
    "ringwall verify --explain --address h:1 --address h:2",
    "ringwall verify --save f --address h:1",
    "ringwall verify --from f --at now --card c --json",
    "ringwall verify --report r --vek v --ask a --crl c --at 1795521600",
    "ringwall verify --quote q --collateral c --explain",
    "ringwall completions bash",
    "ringwall user init --credential me --name laptop",
    "ringwall user show",
    "ringwall user audit --after 3 --json",
    "ringwall device request --user 0000000000000000000000000000000000000000 --name phone",
    "ringwall device add rw1",
    "ringwall device revoke phone",
    "ringwall recovery create --escrow e --cool-down 0",
    "ringwall recovery test --escrow e",
    "ringwall recovery stop",
    "ringwall recovery keys --escrow e --namespace n --namespace m --phrase",
    "ringwall backup take b --card c --json",
    "ringwall backup verify b --cluster 0000000000000000000000000000000000000000000000000000000000000000",
    "ringwall backup show b",
    "ringwall user import --backup b --escrow e --keys k --name 00000000000000000000000000000000=n --only n --overwrite",
    "ringwall restore --escrow e",
    "ringwall put notes k --mode dual --user-key k",
    "ringwall list notes --mode user",
    "ringwall policy new --simulated --out p.toml",
    "ringwall policy explain p.toml --against old.bin --json",
    "ringwall policy sign p.bin --first --key k --out s",
    "ringwall policy approve p.bin --against o --key k --out s",
    "ringwall policy diff p --against o --json",
    "ringwall policy propose s --notice n",
    "ringwall policy publish s --against o --log-url http://h --out p",
    "ringwall policy notice s --against o --log-url http://h --published p --out n",
    "ringwall policy withdraw s --key k --out w",
    "ringwall policy withdraw w --bring",
    "ringwall policy lease --days 30 --key k --out l",
    "ringwall policy lease l --key k --out m",
    "ringwall policy lease l --bring --json",
    "ringwall policy status --card c",
    "ringwall cluster status --json",
    "ringwall cluster policy --out p",
    "ringwall cluster card --out c",
    "ringwall cluster card --web --out c",
    "ringwall slot order --card c --slot 3 --incumbent 1/17 --last-index 900 --out o",
    "ringwall slot sign o --key k --out s --json",
    "ringwall slot verify s --card c",
    "ringwall workload-key order p.toml --first --out o",
    "ringwall workload-key sign o --key k --out s",
    "ringwall workload-key verify s",
    "ringwall workload-key create s",
    "ringwall workload-key grant a/b/c --out k",
    "ringwall --json workload-key audit a/b/c --key k",
    "ringwall policy genesis p --name n --custodians c --custody-threshold 2 --out t",
    "ringwall custodian init --name Ana --home h --passphrase-fd 3",
    "ringwall custodian --home h init --name Ana --age-recipient age1x --age-recipient age1y",
    "ringwall custodian init --home h --name Ana --from-paper -",
    "ringwall custodian pull --card c --from d",
    "ringwall custodian accept --out a --explain --json",
    "ringwall custodian prove --identity i --age rage",
    "ringwall custodian status --online --journal",
    "ringwall custodian drill",
    "ringwall drill begin --home h --out d",
    "ringwall drill submit --home h --passphrase-fd 3 one two",
    "ringwall drill status --home h --out r --json",
    "ringwall drill verify r --card c",
    "ringwall custodian drill offer --out s --yes",
    "ringwall custodian submit offer --out s --progress p --second-session why",
    "ringwall custodian export --words --out w",
    "ringwall custodian export --file --out w --age-recipient age1x",
    "ringwall custodian import --from w --manifest m",
    "ringwall custodian relock --age-recipient age1x",
];

#[test]
fn every_verb_parses() {
    for line in EVERY_VERB {
        assert!(parse(line).is_ok(), "{line}: {:?}", parse(line).err().map(|error| error.to_string()));
    }
}

#[test]
fn wrong_usage_is_told_apart() {
    for (line, kind) in [
        ("ringwall put notes", ErrorKind::MissingRequiredArgument),
        ("ringwall put notes k --key-file f", ErrorKind::ArgumentConflict),
        ("ringwall put notes k --if-absent --if-version 2", ErrorKind::ArgumentConflict),
        ("ringwall put notes k value", ErrorKind::UnknownArgument),
        ("ringwall put notes k --value v", ErrorKind::UnknownArgument),
        ("ringwall status --cluster 12", ErrorKind::ValueValidation),
        ("ringwall cas notes k", ErrorKind::MissingRequiredArgument),
        ("ringwall status --timeout 0", ErrorKind::ValueValidation),
        ("ringwall frobnicate", ErrorKind::InvalidSubcommand),
        ("ringwall list notes --mode secret", ErrorKind::InvalidValue),
        ("ringwall verify --from f --save g", ErrorKind::ArgumentConflict),
        ("ringwall verify --from f --quote q --collateral c", ErrorKind::ArgumentConflict),
        ("ringwall verify --report r --vek v", ErrorKind::MissingRequiredArgument),
        ("ringwall verify --quote q", ErrorKind::MissingRequiredArgument),
        ("ringwall verify --crl c", ErrorKind::MissingRequiredArgument),
        ("ringwall verify --at 5", ErrorKind::MissingRequiredArgument),
        ("ringwall custodian init", ErrorKind::MissingRequiredArgument),
        ("ringwall custodian init --name Ana --passphrase secret", ErrorKind::UnknownArgument),
        ("ringwall custodian submit offer", ErrorKind::MissingRequiredArgument),
        ("ringwall custodian drill offer", ErrorKind::MissingRequiredArgument),
        ("ringwall drill begin --home h", ErrorKind::MissingRequiredArgument),
        ("ringwall drill submit --home h", ErrorKind::MissingRequiredArgument),
        ("ringwall custodian export", ErrorKind::MissingRequiredArgument),
        ("ringwall custodian export --words --qr", ErrorKind::ArgumentConflict),
        ("ringwall verify --from f --at noon", ErrorKind::ValueValidation),
        ("ringwall policy sign p.bin --key k", ErrorKind::MissingRequiredArgument),
        ("ringwall policy sign p.bin --key k --out s --first --against o", ErrorKind::ArgumentConflict),
        ("ringwall policy verify s --against o --threshold 1", ErrorKind::ArgumentConflict),
        ("ringwall policy verify s --threshold 0 --governor 00", ErrorKind::ValueValidation),
        ("ringwall policy withdraw w", ErrorKind::MissingRequiredArgument),
        ("ringwall policy withdraw w --bring --key k --out o", ErrorKind::ArgumentConflict),
        ("ringwall policy lease --bring", ErrorKind::MissingRequiredArgument),
        ("ringwall policy lease l --until 5 --key k --out o", ErrorKind::ArgumentConflict),
        ("ringwall policy lease --days 0 --key k --out o", ErrorKind::ValueValidation),
        ("ringwall erase", ErrorKind::MissingRequiredArgument),
        ("ringwall erase notes --everything", ErrorKind::ArgumentConflict),
        ("ringwall user rekey --new k a", ErrorKind::ValueValidation),
        ("ringwall user rekey --new k", ErrorKind::MissingRequiredArgument),
        ("ringwall slot order --slot 3 --out o", ErrorKind::MissingRequiredArgument),
        ("ringwall slot order --slot 3 --incumbent 17 --out o", ErrorKind::ValueValidation),
    ] {
        assert_eq!(parse(line).unwrap_err().kind(), kind, "{line}");
    }
}

#[test]
fn help_fits_a_hundred_columns_and_names_every_exit_code() {
    let help = Arguments::command().render_long_help().to_string();
    assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
    for code in crate::cli::exit::Exit::ALL {
        assert!(help.contains(&format!("{:>2}  ", *code as u8)), "exit code {code:?} is not in --help");
    }
}
