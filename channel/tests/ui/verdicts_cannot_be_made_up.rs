use ringwall_attest::AppraisedPeer;

fn forge(genuine: &AppraisedPeer) -> AppraisedPeer {
    AppraisedPeer { handshake: *genuine.handshake(), keys: genuine.keys().clone() }
}

fn main() {}
