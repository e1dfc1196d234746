//! T-K6: a blob that is authentic under two AES-GCM keys ("invisible salamander", Dodis et al. 2018), and why ours refuses it.
//!
//! Decides nothing; compiled for tests only. It takes a value whose GCM tag verifies under the record keys of two data keys (forged in
//! `ringwall_sim::salamander`), shows that GCM alone accepts it under both, and that the commitment refuses it. Protocol section 7.

use crate::sealed::open_in_place;
use crate::space::{OpenError, SpaceKeys};
use ringwall_sim::salamander::forged;
use ringwall_wire::bounded::Blob;
use ringwall_wire::command::SealedRecord;
use ringwall_wire::ids::{ClientTag, ClusterId, KeyTag, SpaceTag};
use ringwall_wire::request::KeyMode;
use ringwall_wire::secret::Secret;

#[test]
fn a_value_authentic_under_two_keys_is_refused_by_the_commitment() {
    let (cluster, space, key, client, iv) = (ClusterId([1; 32]), SpaceTag([2; 16]), KeyTag([3; 16]), ClientTag([4; 16]), [5; 24]);
    let one = SpaceKeys::derive(cluster, space, KeyMode::Cluster, &Secret::new([6; 32]));
    let two = SpaceKeys::derive(cluster, space, KeyMode::Cluster, &Secret::new([7; 32]));
    let (one_keys, two_keys) = (one.record_keys(&iv), two.record_keys(&iv));
    let aad = one.aad(&key, &client, 1);
    assert_eq!(aad, two.aad(&key, &client, 1), "nothing but the data key differs");

    let value = forged(one_keys.parts().1, two_keys.parts().1, &aad);
    let name = forged(one_keys.parts().0, two_keys.parts().0, &aad);
    for keys in [&one_keys, &two_keys] {
        assert!(open_in_place(keys.parts().1, &aad, &mut value.clone()), "AES-GCM alone accepts the forgery under both keys");
        assert!(open_in_place(keys.parts().0, &aad, &mut name.clone()), "AES-GCM alone accepts the forgery under both keys");
    }
    for (committed, refuses) in [(&one_keys, &two), (&two_keys, &one)] {
        let commit = *committed.parts().2;
        let record = SealedRecord {
            client,
            seq: 1,
            iv,
            commit,
            name: Blob::new(name.clone()).expect("short"),
            value: Blob::new(value.clone()).expect("short"),
        };
        assert_eq!(refuses.open(&key, &record), Err(OpenError::OtherKey));
        assert_eq!(refuses.open_name(&key, &record), Err(OpenError::OtherKey));
    }
}
