use ringwall_channel::{Session, Unverified};

fn leak(mut session: Session<Unverified>) {
    session.seal(b"application bytes", &mut Vec::new());
}

fn main() {}
