use ringwall_channel::{Session, Unverified};

fn leak(mut session: Session<Unverified>) {
    let _ = session.split(0, 1024);
}

fn main() {}
