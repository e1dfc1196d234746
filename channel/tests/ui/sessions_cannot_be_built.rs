use ringwall_channel::{Serving, Session, Unverified};

fn forge(genuine: Session<Unverified>) -> Session<Serving> {
    Session { core: genuine.core, state: Serving(()) }
}

fn main() {}
