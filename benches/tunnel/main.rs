//! Whole tunnels, measured: two data planes between two hosts, beside plain routing and
//! strongSwan's userspace ESP over the same wire in the same run. Only the ratios mean something;
//! the machine and its neighbours make the rest.
//!
//! `cargo bench --bench tunnel -- [seconds a measurement] [system ...]`; systems are plain, s2sd,
//! null, strongswan.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints, and what it cannot do it cannot measure"
)]

#[path = "../../tests/lab/mod.rs"]
mod lab;
mod measure;
mod strongswan;

use std::time::Duration;

use lab::{Lab, Setup, Tunnel};
use measure::Figures;
use strongswan::Strongswan;

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let seconds = arguments.first().and_then(|text| text.parse().ok()).unwrap_or(3.0);
    let wanted =
        |system: &str| arguments.len() < 2 || arguments.iter().skip(1).any(|name| name == system);
    let time = Duration::from_secs_f64(seconds);
    let mut all: Vec<(&str, Figures)> = Vec::new();
    if wanted("plain") {
        let Some(lab) = Lab::build() else { return };
        lab.route_plainly();
        all.push(("plain", Figures::measure(&lab, time)));
    }
    for (name, null) in [("s2sd", false), ("null", true)] {
        if wanted(name) {
            let Some(lab) = Lab::build() else { return };
            let mut tunnel = Tunnel::start(&lab, Setup { null, ..Setup::default() });
            let mut figures = Figures::measure(&lab, time);
            figures.rekey_loss = Some(measure::rekey_loss(&lab, &mut tunnel, time));
            println!("{name}: {}{}", measure::shape(&tunnel), tunnel.drops());
            all.push((name, figures));
        }
    }
    if wanted("strongswan") {
        let Some(lab) = Lab::build() else { return };
        match Strongswan::start(&lab) {
            Ok(_running) => all.push(("strongswan", Figures::measure(&lab, time))),
            Err(reason) => println!("strongswan: not measured ({reason})"),
        }
    }
    print_table(&all);
    print_json(&all);
}

fn print_table(all: &[(&str, Figures)]) {
    println!(
        "\n{:<42}{}",
        "",
        all.iter().map(|(name, _)| format!("{name:>12}")).collect::<String>()
    );
    for (row, title) in Figures::TITLES.iter().enumerate() {
        let cells = all.iter().map(|(_, figures)| match figures.rows()[row] {
            Some(value) => format!("{value:>12.3}"),
            None => format!("{:>12}", "-"),
        });
        println!("{title:<42}{}", cells.collect::<String>());
    }
    let find =
        |name: &str| all.iter().find(|(system, _)| *system == name).map(|(_, figures)| figures);
    let Some(ours) = find("s2sd") else { return };
    if let Some(theirs) = find("strongswan") {
        println!("one stream, of strongSwan's: {:.1}", ours.stream / theirs.stream);
        println!("small packets, of strongSwan's: {:.1}", ours.small / theirs.small);
    }
    if let Some(plain) = find("plain") {
        println!("one stream, of plain routing's: {:.3}", ours.stream / plain.stream);
        println!("round trip above plain routing's, ms: {:.3}", ours.p50 - plain.p50);
    }
}

fn print_json(all: &[(&str, Figures)]) {
    let systems = all.iter().map(|(name, figures)| {
        let rows = Figures::TITLES.iter().zip(figures.rows());
        let fields = rows.filter_map(|(title, value)| Some(format!("\"{title}\": {:.4}", value?)));
        format!("\"{name}\": {{{}}}", fields.collect::<Vec<_>>().join(", "))
    });
    println!("{{{}}}", systems.collect::<Vec<_>>().join(", "));
}
