//! `docs/azure.md` followed from an empty directory to a tunnel, with strongSwan as the gateway
//! that the page made.

use std::fs;
use std::time::Duration;

use s2sd::wire::packet::ip::IpVersion;

use crate::gateway::Gateway;
use crate::lab::gateway;
use crate::lab::traffic::transfer;
use crate::page::{Reader, blocks};
use crate::patience::{Failure, ensure, until};
use crate::place::Place;
use crate::strongswan::Strongswan;
use crate::{Case, Verdict};

pub const CASES: &[Case] = &[
    Case { name: "page: docs/azure.md, from nothing to up", run: follow },
    Case { name: "page: a vault that refuses leaves the key where it is", run: refuse },
];

fn follow(place: &Place) -> Verdict {
    let directory = place.directory.join("reader");
    let failed = |error: std::io::Error| Failure::new("the page's files", error);
    let reader = Reader::new(&place.lab.gateways[0], &directory).map_err(failed)?;
    let azure = gateway(1, IpVersion::V4).to_string();
    let blocks = blocks()?;
    let mut peer = None::<Strongswan>;
    for block in &blocks {
        if block.contains("systemctl enable") {
            let gateway = Gateway::of(&reader.calls())?;
            let settings = gateway.settings(
                &directory.join("vault.pfx"),
                &reader.vault_password()?,
                &azure,
            )?;
            peer = Some(place.strongswan(&settings)?);
        }
        if block.contains("az network vpn-connection show") {
            for (name, json) in Gateway::of(&reader.calls())?.shown(&azure)? {
                fs::write(directory.join("stored").join(name), json.to_string()).map_err(failed)?;
            }
        }
        let blame = |failure: Failure| match &peer {
            Some(peer) => failure.with("strongSwan's log", &peer.tail()),
            None => failure,
        };
        reader.follow(block).map_err(blame)?;
        if block.contains("systemctl enable") {
            until("the service's tunnel", Duration::from_secs(30), || {
                reader.follow("s2sd status > /dev/null").ok()
            })
            .map_err(|failure| blame(failure.with("s2sd's log", &reader.log())))?;
            for from in [0, 1] {
                transfer(&place.lab, from, IpVersion::V4, 1 << 20)
                    .map_err(|error| blame(Failure::new("a TCP stream", error)))?;
            }
        }
    }
    ensure(peer.is_some(), "the page starts the service", blocks.join("\n"))?;
    let [ours, imported] = ["s2sd.toml", "imported.toml"]
        .map(|file| reader.follow(&format!("cd /etc/s2sd; s2sd azure export --arm {file}")));
    let (ours, imported) = (ours?, imported?);
    ensure(ours == imported, "what is imported is what was exported", ours + &imported)?;
    Ok(format!(
        "{} blocks, {} calls of az, 2 MiB through the tunnel",
        blocks.len(),
        reader.calls().len()
    ))
}

/// Somebody pastes the block into a shell, which goes on after the command that failed.
fn refuse(place: &Place) -> Verdict {
    let directory = place.directory.join("reader");
    let failed = |error: std::io::Error| Failure::new("the page's files", error);
    let reader = Reader::new(&place.lab.gateways[0], &directory).map_err(failed)?;
    fs::write(directory.join("vault-refuses"), "").map_err(failed)?;
    let blocks = blocks()?;
    let block = blocks.iter().find(|block| block.contains("az keyvault certificate import"));
    let block = block.ok_or_else(|| Failure::new("no block imports a certificate", ""))?;
    let said = reader.follow(&format!("set +e\n{block}set -e\n"))?;
    ensure(said.contains("Forbidden"), "the vault refuses", &said)?;
    for file in ["vnet1gw.key", "vnet1gw.pfx", "vnet1gw.password"] {
        let there = directory.join("etc/private/pki").join(file).is_file();
        ensure(there, &format!("{file} is kept"), &said)?;
    }
    Ok("key, .pfx and password are kept".into())
}
