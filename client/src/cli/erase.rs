//! `ringwall erase`: the keys of a namespace, or of all of a user's, are destroyed.
//!
//! Decides: nothing is erased that is not there (the name of an erased namespace is not used again, so a name that was typed wrong would be lost), and
//! nothing before somebody said yes. It needs neither the mode nor the user's key: who has lost the key can still erase.
//! Trusts: the library. Out of scope: when what was erased is out of reach of old disks (docs/protocol.md, "7.5 Rotation and erasure").

use super::args::SharedOptions;
use super::exit::{Exit, Trouble};
use super::passphrase::Secrets;
use super::{show, verbs};
use crate::{Anchors, Client, ReadError};
use clap::{ArgGroup, Args};
use ringwall_wire::session::RefusalCode;
use serde_json::json;

/// Arguments of `erase`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["namespace", "everything"]))]
pub(crate) struct Erase {
    /// Namespace
    namespace: Option<String>,
    /// All namespaces of the user, whichever they are
    #[arg(long)]
    everything: bool,
    /// Do not ask: for scripts
    #[arg(long)]
    yes: bool,
}

/// Runs the verb.
pub(crate) async fn run(shared: &SharedOptions, anchors: Anchors, args: &Erase) -> Result<Exit, Trouble> {
    let client = verbs::connect(shared, anchors).await?;
    let erased = erase(&client, args).await;
    let user = client.user();
    client.close().await;
    erased?;
    match shared.json {
        true => show::line(json!({ "erased": args.namespace, "everything": args.everything, "user": user.to_string() }).to_string())?,
        false => {
            show::line(match &args.namespace {
                Some(name) => format!("erased: namespace {}; its name is not used again", show::words(name.as_bytes())),
                None => format!("erased: every namespace of user {user}; their names are not used again"),
            })?;
            show::note(
                "no node opens it any more; whoever kept old disks is shut out once the master key has rotated (custody.erase_s of the cluster)",
            );
        }
    }
    Ok(Exit::Done)
}

async fn erase(client: &Client, args: &Erase) -> Result<(), Trouble> {
    let question = match &args.namespace {
        Some(name) if !is_there(client, name).await? => {
            let words = format!("there is no namespace {}; nothing was erased", show::words(name.as_bytes()));
            return Err(Trouble::new("RW-C-NO-NAMESPACE", words));
        }
        Some(name) => format!("Erase namespace {} for ever? Type yes: ", show::words(name.as_bytes())),
        None => format!("Erase EVERYTHING of user {} for ever? Type yes: ", client.user()),
    };
    if !args.yes && !Secrets::new(None)?.confirm(&question)? {
        return Err(Trouble::new("RW-C-NOT-CONFIRMED", "not confirmed: nothing was erased"));
    }
    match &args.namespace {
        Some(name) => client.existing_namespace(name)?.erase().await?,
        None => client.erase_everything().await?,
    }
    Ok(())
}

/// Whether the user has a namespace of that name, in whichever mode.
async fn is_there(client: &Client, name: &str) -> Result<bool, Trouble> {
    match client.existing_namespace(name)?.list("").page_entries(1).next_page().await {
        Ok(_) => Ok(true),
        Err(ReadError::NoNamespace { .. }) => Ok(false),
        Err(ReadError::Refused(refusal)) if matches!(refusal.code, RefusalCode::OtherMode | RefusalCode::UserKeyNeeded) => Ok(true),
        Err(fault) => Err(fault.into()),
    }
}
