use ringwall_channel::{Serving, Session};

fn forge() -> Session<Serving> {
    Session { core: todo!(), state: Serving(()) }
}

fn main() {}
