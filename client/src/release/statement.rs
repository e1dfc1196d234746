//! The statement about a release: what a build measures to, and out of which source and by which recipe it was built.
//!
//! Decides: it says what was predicted and what lies in the files, nothing typed twice; what is written is read back by the verifier's own reader before it
//! is given to anybody. Trusts: the prediction (`measure.rs`). Out of scope: its shape (`ringwall_attest::release::statement`), signing (`bundle.rs`).

use crate::measure::{MeasurementSet, TdxMeasurement};
use ringwall_attest::release::proof::Ran;
use ringwall_attest::release::statement::{Artefact, SnpShape, Statement, StatementError, TdxShape};
use ringwall_wire::codec::Field as _;
use ringwall_wire::ids::Digest;
use ringwall_wire::policy::{Measurement, TdxTuple};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;

/// Bytes read at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// Bytes of an artefact: a disk image with room.
const ARTEFACT_BYTES: u64 = 16 * 1024 * 1024 * 1024;

/// Where a build comes from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Where the source is.
    pub source: String,
    /// Its commit.
    pub commit: String,
    /// SHA-256 of the recipe.
    pub recipe: Digest,
}

/// The exact bytes to sign. `replays` is the policy's entry of a build whose boot events are listed there; none where tuples name every shape.
pub fn compose(
    set: &MeasurementSet,
    artefacts: Vec<Artefact>,
    origin: Origin,
    replays: Option<&Measurement>,
) -> Result<Vec<u8>, StatementError> {
    let snp = set.snp.iter().map(|one| SnpShape { cpu: one.model.clone(), vcpus: one.vcpus, digest: one.digest });
    let tdx = set.tdx.iter().map(|one| TdxShape { shape: one.shape.clone(), tuple: tuple(one) });
    let tables = replays.into_iter().flat_map(|build| build.tdx_replays.iter());
    let statement = Statement {
        subjects: artefacts,
        build: set.build_id.clone(),
        svn: set.svn,
        source: origin.source,
        commit: origin.commit,
        recipe: origin.recipe,
        snp: snp.collect(),
        tdx: tdx.collect(),
        tdx_replays: tables.map(|table| Digest(Sha256::digest(table.to_bytes()).into())).collect(),
    };
    let bytes = statement.write();
    match Statement::parse(&bytes)? == statement {
        true => Ok(bytes),
        false => Err(StatementError::Shape { what: "it is not read back as it was written" }),
    }
}

/// The SHA-256 of a file of any size, read piece by piece.
pub fn digest(path: &Path) -> std::io::Result<Digest> {
    let mut file = std::fs::File::open(path)?.take(ARTEFACT_BYTES + 1);
    let (mut hash, mut chunk, mut bytes) = (Sha256::new(), vec![0; CHUNK_BYTES], 0_u64);
    loop {
        let count = file.read(&mut chunk)?;
        if count == 0 {
            return Ok(Digest(hash.finalize().into()));
        }
        bytes = bytes.saturating_add(count as u64);
        if bytes > ARTEFACT_BYTES {
            return Err(std::io::Error::other(format!("longer than {ARTEFACT_BYTES} bytes, which no image is")));
        }
        hash.update(chunk.get(..count).unwrap_or_default());
    }
}

/// Whether what somebody predicted for their own build is what a statement says: every digest and every tuple of one is in the other, both ways. Shapes may
/// measure alike, so their number says nothing. What differs, when it is not.
pub fn differs(stated: &Statement, own: &MeasurementSet) -> Option<&'static str> {
    let snp: BTreeSet<_> = stated.snp.iter().map(|one| one.digest.0).collect();
    let tdx: BTreeSet<_> = stated.tdx.iter().map(|one| registers(&one.tuple)).collect();
    match () {
        () if stated.build != own.build_id => Some("the name of the build"),
        () if stated.svn != own.svn => Some("the security version"),
        () if snp != own.snp.iter().map(|one| one.digest.0).collect() => Some("SNP launch digests"),
        () if tdx != own.tdx.iter().map(|one| registers(&tuple(one))).collect() => Some("TDX registers"),
        () => None,
    }
}

/// Whether a prediction has what hardware reported.
pub fn predicts(own: &MeasurementSet, ran: &Ran) -> bool {
    match ran {
        Ran::Snp(digest) => own.snp.iter().any(|one| one.digest == *digest),
        Ran::Tdx(reported) => own.tdx.iter().any(|one| tuple(one) == *reported),
    }
}

fn tuple(one: &TdxMeasurement) -> TdxTuple {
    TdxTuple { mrtd: one.mrtd, rtmr0: one.rtmr0, rtmr1: one.rtmr1, rtmr2: one.rtmr2 }
}

fn registers(tuple: &TdxTuple) -> [[u8; 48]; 4] {
    [tuple.mrtd.0, tuple.rtmr0.0, tuple.rtmr1.0, tuple.rtmr2.0]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::measure::SnpMeasurement;
    use ringwall_wire::policy::MeasurementRegister;

    fn set(byte: u8) -> MeasurementSet {
        let digest = MeasurementRegister([byte; 48]);
        let snp = vec![SnpMeasurement { vcpus: 4, model: "EPYC-v4".into(), digest }];
        MeasurementSet { build_id: "ringwall-1".into(), svn: 3, snp, tdx: Vec::new() }
    }

    fn origin(commit: &str) -> Origin {
        Origin { source: "https://code.example/ringwall".into(), commit: commit.into(), recipe: Digest([2; 32]) }
    }

    #[test]
    fn a_statement_says_what_was_predicted_and_nothing_else() {
        let artefact = Artefact { name: "initrd".into(), digest: Digest([1; 32]) };
        let bytes = compose(&set(7), vec![artefact.clone()], origin(&"ab".repeat(20)), None).unwrap();
        let read = Statement::parse(&bytes).unwrap();
        assert_eq!((read.build.as_str(), read.svn, read.subjects.as_slice()), ("ringwall-1", 3, &[artefact][..]));
        assert_eq!(differs(&read, &set(7)), None);
        assert_eq!(differs(&read, &set(8)), Some("SNP launch digests"));
        assert_eq!(differs(&read, &MeasurementSet { svn: 4, ..set(7) }), Some("the security version"));
        assert!(compose(&set(7), Vec::new(), origin("main"), None).is_err(), "a branch is no commit");
    }

    /// Two types of vCPU may measure alike: a statement that names as many digests, one of them foreign, is not what was predicted.
    #[test]
    fn a_foreign_digest_does_not_hide_behind_shapes_that_measure_alike() {
        let shaped = |digests: &[(&str, u8)]| MeasurementSet {
            snp: digests
                .iter()
                .map(|(model, byte)| SnpMeasurement { vcpus: 4, model: (*model).into(), digest: MeasurementRegister([*byte; 48]) })
                .collect(),
            ..set(7)
        };
        let artefact = Artefact { name: "initrd".into(), digest: Digest([1; 32]) };
        let stated = |set: &MeasurementSet| {
            Statement::parse(&compose(set, vec![artefact.clone()], origin(&"ab".repeat(20)), None).unwrap()).unwrap()
        };
        let own = shaped(&[("EPYC-v3", 7), ("EPYC-v4", 7)]);
        let foreign = stated(&shaped(&[("EPYC-v3", 7), ("EPYC-v4", 9)]));
        assert_eq!(differs(&foreign, &own), Some("SNP launch digests"));
        assert_eq!(differs(&stated(&shaped(&[("EPYC-v4", 7)])), &own), None, "the same shapes, counted otherwise");
        assert!(predicts(&own, &Ran::Snp(MeasurementRegister([7; 48]))) && !predicts(&own, &Ran::Snp(MeasurementRegister([9; 48]))));
        let registers = MeasurementRegister([7; 48]);
        let tuple = TdxTuple { mrtd: registers, rtmr0: registers, rtmr1: registers, rtmr2: registers };
        assert!(!predicts(&own, &Ran::Tdx(tuple)), "a boot by a table of events is in no prediction");
    }

    #[test]
    fn a_file_is_named_by_its_hash() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        std::fs::write(&path, vec![5; 3 * CHUNK_BYTES + 1]).unwrap();
        assert_eq!(digest(&path).unwrap(), Digest(Sha256::digest(vec![5; 3 * CHUNK_BYTES + 1]).into()));
    }
}
