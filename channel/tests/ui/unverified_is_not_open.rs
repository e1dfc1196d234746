use ringwall_channel::{Open, Session, Unverified};

fn carry<S: Open>(mut session: Session<S>) {
    let _ = session.split(0, 1024);
}

fn leak(session: Session<Unverified>) {
    carry(session);
}

fn main() {}
