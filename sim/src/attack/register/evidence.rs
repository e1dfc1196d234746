//! Rows A1 to A15: evidence that is old, borrowed, edited, incomplete, or true of another machine.
//!
//! Decides: these rows. Trusts: nothing. Out of scope: members (`members.rs`), the rest (`others.rs`). Protocol section 1.2.

use super::{Perform, Row, Scene, Shown};
use crate::attack::{evidence, joiners, network, times};
use ringwall_wire::without::Defence;

const REFUSAL: &str = "the refusal, with the field; the answer itself where it was saved";

const fn judged(perform: Perform, without: &'static [Defence]) -> Shown {
    Shown::Performed { scene: Scene::Verifier, perform, remains: REFUSAL, without }
}

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "A1",
        attack: "shows recorded evidence of a genuine node again",
        breaks: "anybody who listened once is that node",
        defence: "the asker's nonce and the handshake's hash are under the hardware's signature",
        section: "3",
        code: &["attest/src/session.rs", "attest/src/binding.rs"],
        shown: judged(|stage| Box::pin(evidence::replayed(stage)), &[Defence::SessionBinding]),
    },
    Row {
        id: "A2",
        attack: "stands between client and node and shows the node's evidence as its own",
        breaks: "the client speaks to the attacker, with genuine evidence before its eyes",
        defence: "evidence comes after the handshake and is bound to its hash and keys; the handshake is bound to the outer connection",
        section: "3",
        code: &["attest/src/session.rs", "channel/src/session.rs", "channel/src/prologue.rs"],
        shown: Shown::Performed {
            scene: Scene::Cluster,
            perform: |stage| Box::pin(network::between(stage)),
            remains: "the refusal at the client; nothing of the user's left it",
            without: &[Defence::SessionBinding],
        },
    },
    Row {
        id: "A3",
        attack: "sends a member's own evidence back to it",
        breaks: "the member believes that it faces another one of its kind",
        defence: "the role and the attester's own key are under the signature",
        section: "2.2",
        code: &["attest/src/session.rs", "node/src/peers/handshake.rs"],
        // The role itself is compared before, so that an answer with its own role is refused with or without the binding.
        shown: judged(|stage| Box::pin(evidence::reflected(stage)), &[Defence::SessionBinding]),
    },
    Row {
        id: "A4",
        attack: "has an expectation left empty in the policy",
        breaks: "what is not expected is not compared: anything passes",
        defence: "no rule is optional and nothing has a default; an empty list accepts nothing",
        section: "2.2",
        code: &["attest/src/appraise.rs", "wire/src/policy.rs"],
        shown: judged(|stage| Box::pin(evidence::nothing_expected(stage)), &[Defence::EmptyLists]),
    },
    Row {
        id: "A5",
        attack: "puts fresh words beside stale evidence",
        breaks: "the nonce is compared where nobody signed it",
        defence: "only what is hashed into the signed 64 bytes counts",
        section: "2.2",
        code: &["attest/src/appraise.rs", "attest/src/batch.rs"],
        shown: judged(|stage| Box::pin(evidence::stale_beside_fresh(stage)), &[Defence::SessionBinding]),
    },
    Row {
        id: "A6",
        attack: "makes up a chain, or says what it measures to",
        breaks: "a program that reads without verifying believes a machine without a TEE",
        defence: "every signature up to a pinned root, before anything is read; a verdict has one maker",
        section: "2.2",
        code: &["attest/src/snp/chain.rs", "attest/src/snp.rs", "attest/src/tdx.rs"],
        shown: judged(|stage| Box::pin(evidence::made_up(stage)), &[Defence::PinnedRoots]),
    },
    Row {
        id: "A7",
        attack: "starts a guest it can debug, or that speaks from a lower level, and has it join",
        breaks: "the host reads the new member's memory, and with it the cluster's keys",
        defence: "one rule for each field; members judge before they propose, voters again before they sign",
        section: "2.2",
        code: &["attest/src/appraise/snp.rs", "attest/src/appraise/tdx.rs", "node/src/join/endorse.rs"],
        shown: Shown::Performed {
            scene: Scene::Cluster,
            perform: |stage| Box::pin(joiners::debugged(stage)),
            remains: "refused joins in the members' logs, with the field",
            without: &[Defence::DebugRule],
        },
    },
    Row {
        id: "A8",
        attack: "puts firmware with known faults back",
        breaks: "evidence is genuine and worth nothing",
        defence: "a minimum for every part, in every place where a version stands",
        section: "2.2",
        code: &["attest/src/appraise/snp.rs", "attest/src/appraise/tdx.rs"],
        shown: judged(|stage| Box::pin(evidence::downgraded(stage)), &[Defence::FirmwareMinimum]),
    },
    Row {
        id: "A9",
        attack: "has the provider's key sign, or masks the chip's id",
        breaks: "a list of chips cannot be applied",
        defence: "the chip's own key, an id that is not masked, and both the same chip's",
        section: "2.2",
        code: &["attest/src/appraise/snp.rs", "attest/src/snp.rs"],
        shown: judged(|stage| Box::pin(evidence::masked(stage)), &[Defence::ChipKey]),
    },
    Row {
        id: "A10",
        attack: "sends a layout its version does not have",
        breaks: "a parser reads one field in the place of another",
        defence: "strict parsers by version; exact lengths; reserved bytes are zero",
        section: "2.2",
        code: &["attest/src/snp/report.rs", "attest/src/tdx/frame.rs"],
        shown: judged(|stage| Box::pin(evidence::confused(stage)), &[Defence::ReservedBytes]),
    },
    Row {
        id: "A11",
        attack: "withholds revocation lists, or hands out old ones",
        breaks: "a revoked key stays good",
        defence: "dates, numbers, and lists demanded by the policy",
        section: "2.2",
        code: &["attest/src/snp/crl.rs", "attest/src/appraise/snp.rs", "attest/src/tdx.rs"],
        shown: judged(|stage| Box::pin(evidence::withheld(stage)), &[Defence::RevocationLists]),
    },
    Row {
        id: "A12",
        attack: "starts the right image with a configuration of its own",
        breaks: "the measurement is right, and what the program was told is not",
        defence: "the configuration's hash is recorded by the hardware at launch and compared",
        section: "2.1",
        code: &["attest/src/appraise.rs", "wire/src/genesis.rs"],
        shown: judged(|stage| Box::pin(evidence::configured(stage)), &[Defence::BootConfiguration]),
    },
    Row {
        id: "A13",
        attack: "shows simulated evidence, or a root of its own, to production programs",
        breaks: "everything: the keys are public",
        defence: "roots are compiled in; simulated ones are in no shipped program; the trust domain is in the cluster id",
        section: "2.1",
        code: &["attest/src/anchors.rs", "attest/src/snp/chain.rs"],
        shown: judged(|stage| Box::pin(evidence::simulated(stage)), &[Defence::PinnedRoots]),
    },
    Row {
        id: "A14",
        attack: "has the guest's kernel run code from the host's ACPI tables",
        breaks: "code of the host's runs inside the TEE",
        defence: "the image's kernel never starts its interpreter for such tables; what they hold is read as data and not executed",
        section: "1.2",
        code: &["deploy/image/pins.toml"],
        shown: Shown::Apart("deploy/image/test.py"),
    },
    Row {
        id: "A15",
        attack: "attests honestly, then opens the guest for debugging",
        breaks: "what was true when it was proven is not any more",
        defence: "evidence serves for the policy's time; then the session ends and the next one attests anew",
        section: "3.1",
        code: &["session/src/opening.rs", "node/src/front/session.rs"],
        shown: Shown::Performed {
            scene: Scene::FalseNode,
            perform: |stage| Box::pin(times::turned(stage)),
            remains: "the refusal, with the field that changed",
            without: &[Defence::DebugRule],
        },
    },
];
