use ringwall_channel::Open;
use ringwall_channel::session::State;

struct Mine;

impl State for Mine {}

impl Open for Mine {
    fn peer(&self) -> Option<&ringwall_attest::AppraisedPeer> {
        None
    }
}

fn main() {}
