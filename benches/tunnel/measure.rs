//! What is measured of any system that connects the two hosts.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use s2sd::wire::packet::ip::IpVersion;

use super::lab::traffic::{clock, flood, packet_rate, round_trips, throughput};
use super::lab::{Lab, SIDES, Tunnel, host};

/// One system's figures. Rates in Gbit/s and thousands of packets a second, times in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    pub stream: f64,
    pub reverse: f64,
    pub four: f64,
    pub iperf: Option<f64>,
    pub small: f64,
    pub p50: f64,
    pub p99: f64,
    pub cpu: f64,
    pub rekey_loss: Option<f64>,
}

impl Figures {
    pub const TITLES: [&'static str; 9] = [
        "one TCP stream, Gbit/s",
        "one TCP stream, reverse, Gbit/s",
        "four TCP streams, Gbit/s",
        "one TCP stream by iperf3, Gbit/s",
        "64-byte UDP, thousand packets/s received",
        "round trip p50, ms",
        "round trip p99, ms",
        "CPU seconds per GiB (one stream)",
        "datagrams lost of a million, rekey each second",
    ];

    pub fn rows(&self) -> [Option<f64>; 9] {
        let Figures { stream, reverse, four, iperf, small, p50, p99, cpu, rekey_loss } = *self;
        [
            Some(stream),
            Some(reverse),
            Some(four),
            iperf,
            Some(small),
            Some(p50),
            Some(p99),
            Some(cpu),
            rekey_loss,
        ]
    }

    pub fn measure(lab: &Lab, time: Duration) -> Figures {
        let gigabits = |bytes: f64| bytes * 8.0 / 1e9;
        round_trips(lab, 100);
        let (busy, begin) = (busy_seconds(), clock());
        let rate = throughput(lab, 0, 1, time);
        let bytes = rate * begin.elapsed().as_secs_f64();
        let cpu = (busy_seconds() - busy) / (bytes / f64::from(1 << 30));
        let reverse = throughput(lab, 1, 1, time);
        let four = throughput(lab, 0, 4, time);
        let small = packet_rate(lab, 0, 64, time);
        // A flood leaves queues behind.
        std::thread::sleep(Duration::from_millis(500));
        let trips = round_trips(lab, 4000);
        let at = |share: usize| {
            trips.get(trips.len() * share / 100).map_or(f64::NAN, Duration::as_secs_f64) * 1e3
        };
        Figures {
            stream: gigabits(rate),
            reverse: gigabits(reverse),
            four: gigabits(four),
            iperf: iperf(lab, time),
            small: small / 1e3,
            p50: at(50),
            p99: at(99),
            cpu,
            rekey_loss: None,
        }
    }
}

/// Datagrams lost of a million at a steady rate with a rekey each second.
pub fn rekey_loss(lab: &Lab, tunnel: &mut Tunnel, time: Duration) -> f64 {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let flood = flood(lab, 0, 512, 30_000, time, true);
            done.store(true, Ordering::Relaxed);
            flood
        });
        while !done.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_secs(1).min(time / 3));
            let old = tunnel.rekey();
            std::thread::sleep(Duration::from_millis(100));
            tunnel.forget(&old);
        }
        let flood = load.join().unwrap();
        (flood.sent - (flood.received - flood.doubled)) as f64 * 1e6 / flood.sent as f64
    })
}

/// How the lanes worked: batch sizes and joined messages.
pub fn shape(tunnel: &Tunnel) -> String {
    let mut text = String::new();
    for side in SIDES {
        let counters = tunnel.lanes[side].counters();
        for (way, direction) in [("out", &counters.egress), ("in", &counters.ingress)] {
            let messages = direction.messages.load(Ordering::Relaxed);
            let joined = direction.joined.load(Ordering::Relaxed);
            let frames = direction.frames.load(Ordering::Relaxed);
            text += &format!(
                "\n  side {side} {way}: batches by packets (1, 2, 4 .. 128 and more) {:?}, messages {messages}, joined {joined}, frames {frames}",
                direction.sizes()
            );
        }
    }
    text + "\n"
}

/// Seconds that all processors together were not idle.
fn busy_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap();
    let ticks: Vec<f64> = stat
        .lines()
        .next()
        .unwrap()
        .split_whitespace()
        .skip(1)
        .map(|n| n.parse().unwrap())
        .collect();
    let idle = ticks[3] + ticks[4];
    (ticks.iter().take(8).sum::<f64>() - idle) / 100.0
}

/// One stream by iperf3, where it is installed.
fn iperf(lab: &Lab, time: Duration) -> Option<f64> {
    let run = |side: usize, arguments: &[&str]| {
        lab.hosts[side].run(|| {
            Command::new("iperf3")
                .args(arguments)
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
        })
    };
    let mut server = run(1, &["-s", "-1"]).ok()?;
    std::thread::sleep(Duration::from_millis(300));
    let (address, seconds) =
        (host(1, IpVersion::V4).to_string(), time.as_secs().max(1).to_string());
    let mut client = run(0, &["-c", &address, "-t", &seconds, "-O", "1", "-J"]).ok()?;
    let mut text = String::new();
    client.stdout.take()?.read_to_string(&mut text).ok()?;
    client.wait().ok()?;
    server.kill().ok();
    server.wait().ok()?;
    let end = text.find("\"sum_received\"")?;
    let rate = text[end..].split("\"bits_per_second\":").nth(1)?.split([',', '}']).next()?;
    rate.trim().parse::<f64>().ok().map(|bits| bits / 1e9)
}
