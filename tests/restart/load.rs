//! Traffic while services restart: a TCP stream as fast as possible, and numbered datagrams at a
//! steady pace each way that show gaps.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use s2sd::wire::packet::ip::IpVersion;

use super::lab::traffic::clock;
use super::lab::{Lab, host};

/// Between two beats.
const BEAT: Duration = Duration::from_millis(1);

/// When beats arrived, by the side that they came from.
#[derive(Default)]
pub struct Pulse([Mutex<Vec<Instant>>; 2]);

impl Pulse {
    /// The longest silence since a moment, either way, up to now.
    pub fn gap(&self, since: Instant) -> Duration {
        self.0.iter().map(|beats| longest(&beats.lock().unwrap(), since)).max().unwrap()
    }

    /// Whether beats of both sides arrived after this moment.
    pub fn beats_after(&self, moment: Instant) -> bool {
        self.0.iter().all(|beats| beats.lock().unwrap().last().is_some_and(|at| *at > moment))
    }

    /// Sends beats from one side to the other until it is told to stop.
    pub fn run(&self, lab: &Lab, from: usize, done: &AtomicBool) {
        let receiver = lab.hosts[1 - from].run(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
        receiver.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let port = receiver.local_addr().unwrap().port();
        let to = SocketAddr::new(host(1 - from, IpVersion::V4), port);
        let sender = lab.hosts[from].run(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    // What cannot be sent is a beat that does not arrive.
                    let _ = sender.send_to(&[0x5a; 32], to);
                    std::thread::sleep(BEAT);
                }
            });
            let mut buffer = [0; 64];
            while !done.load(Ordering::Relaxed) {
                if receiver.recv(&mut buffer).is_ok() {
                    self.0[from].lock().unwrap().push(clock());
                }
            }
        });
    }
}

fn longest(beats: &[Instant], since: Instant) -> Duration {
    let first = beats.partition_point(|at| *at < since);
    let mut gap = Duration::ZERO;
    let mut last = since;
    for at in &beats[first..] {
        gap = gap.max(at.duration_since(last));
        last = *at;
    }
    gap.max(last.elapsed())
}

/// One TCP stream from side 0 to side 1, each byte checked, until it is told to stop.
pub fn stream(lab: &Lab, done: &AtomicBool, moved: &AtomicU64) -> io::Result<()> {
    let listener = lab.hosts[1].run(|| TcpListener::bind("0.0.0.0:0"))?;
    let to = SocketAddr::new(host(1, IpVersion::V4), listener.local_addr()?.port());
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            lab.hosts[0].run(|| {
                let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(5))?;
                stream.set_write_timeout(Some(Duration::from_secs(20)))?;
                let pattern: Vec<u8> = (0..251u8).cycle().take(251 * 256).collect();
                while !done.load(Ordering::Relaxed) {
                    stream.write_all(&pattern)?;
                }
                stream.shutdown(std::net::Shutdown::Write)
            })
        });
        let (mut stream, _) = listener.accept()?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let (mut buffer, mut at) = (vec![0; 1 << 18], 0u64);
        loop {
            let count = stream.read(&mut buffer)?;
            if count == 0 {
                return sender.join().unwrap();
            }
            let expected = (0..251u8).cycle().skip(usize::try_from(at % 251).unwrap());
            let right =
                buffer[..count].iter().zip(expected).all(|(byte, expected)| *byte == expected);
            assert!(right, "the stream is not what was sent, at {at}");
            at += count as u64;
            moved.store(at, Ordering::Relaxed);
        }
    })
}
