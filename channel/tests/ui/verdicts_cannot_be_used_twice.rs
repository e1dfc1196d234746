use ringwall_attest::AppraisedPeer;
use ringwall_channel::{Session, Unverified};

fn twice(one: Session<Unverified>, two: Session<Unverified>, peer: AppraisedPeer) {
    let _ = one.establish(peer);
    let _ = two.establish(peer);
}

fn copy(peer: &AppraisedPeer) -> AppraisedPeer {
    peer.clone()
}

fn main() {}
