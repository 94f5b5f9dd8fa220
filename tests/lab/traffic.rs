//! Senders and receivers of traffic, each in the namespace of its host.

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use s2sd::sys::esp_socket::{Batching, EspSocket};
use s2sd::sys::mmsg::{Received, Run};
use s2sd::sys::namespace::Namespace;
use s2sd::sys::poll::{Waker, readable};
use s2sd::wire::packet::ip::IpVersion;

use super::{Lab, host};

fn any(version: IpVersion) -> IpAddr {
    match version {
        IpVersion::V4 => IpAddr::from([0, 0, 0, 0]),
        IpVersion::V6 => IpAddr::from([0u8; 16]),
    }
}

/// The clock of measurements.
#[expect(clippy::disallowed_methods, reason = "measuring is what this is for")]
pub fn clock() -> Instant {
    Instant::now()
}

fn listen(namespace: &Namespace, version: IpVersion) -> TcpListener {
    namespace.run(|| TcpListener::bind(SocketAddr::new(any(version), 0))).unwrap()
}

/// A byte of the stream, by its place: 251 is prime to every buffer size.
fn byte(at: usize) -> u8 {
    (at % 251).to_le_bytes()[0]
}

/// Sends `len` bytes from one side's host to the other's and checks each. The time it took.
pub fn transfer(lab: &Lab, from: usize, version: IpVersion, len: usize) -> io::Result<Duration> {
    let listener = listen(&lab.hosts[1 - from], version);
    let port = listener.local_addr()?.port();
    let begin = clock();
    let mut outgoing = connect(lab, from, SocketAddr::new(host(1 - from, version), port))?;
    std::thread::scope(|scope| {
        let sender = scope.spawn(move || {
            outgoing.set_write_timeout(Some(Duration::from_secs(20)))?;
            let pattern: Vec<u8> = (0..251 * 256).map(byte).collect();
            let mut left = len;
            while left > 0 {
                let some = left.min(pattern.len());
                outgoing.write_all(&pattern[..some])?;
                left -= some;
            }
            outgoing.shutdown(Shutdown::Write)
        });
        let (mut stream, _) = listener.accept()?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let (mut buffer, mut at) = (vec![0; 1 << 18], 0);
        loop {
            let count = patiently(|| stream.read(&mut buffer))?;
            if count == 0 {
                break;
            }
            let wrong = buffer[..count].iter().enumerate().find(|(i, b)| **b != byte(at + i));
            assert_eq!(wrong, None, "at {at}");
            at += count;
        }
        assert_eq!(at, len, "bytes arrived");
        sender.join().unwrap()
    })?;
    Ok(begin.elapsed())
}

/// A connection from a side's host. The kernel completes it by itself: whoever listens may accept it
/// afterwards, and waits for nobody if there is none.
fn connect(lab: &Lab, from: usize, to: SocketAddr) -> io::Result<TcpStream> {
    lab.hosts[from].run(|| TcpStream::connect_timeout(&to, Duration::from_secs(5)))
}

/// Calls again when a signal came between: of sockets with a timeout the kernel restarts no call by
/// itself (signal(7)).
pub fn patiently<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Bytes a second of `streams` TCP streams from one side to the other for a while.
pub fn throughput(lab: &Lab, from: usize, streams: usize, time: Duration) -> f64 {
    let stop = AtomicBool::new(false);
    let listener = listen(&lab.hosts[1 - from], IpVersion::V4);
    let port = listener.local_addr().unwrap().port();
    std::thread::scope(|scope| {
        let (address, stop) = (SocketAddr::new(host(1 - from, IpVersion::V4), port), &stop);
        for _ in 0..streams {
            let mut stream = connect(lab, from, address).unwrap();
            scope.spawn(move || {
                stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
                let data = vec![0x5a; 1 << 17];
                while !stop.load(Ordering::Relaxed) && stream.write_all(&data).is_ok() {}
            });
        }
        let receivers: Vec<_> = (0..streams)
            .map(|_| {
                let (mut stream, _) = listener.accept().unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                scope.spawn(move || {
                    let mut buffer = vec![0; 1 << 17];
                    // The first part is slow start and is not measured.
                    let warm = clock();
                    while warm.elapsed() < time / 4 {
                        if !matches!(stream.read(&mut buffer), Ok(1..)) {
                            return 0.0;
                        }
                    }
                    let (begin, mut bytes) = (clock(), 0usize);
                    while begin.elapsed() < time {
                        match stream.read(&mut buffer) {
                            Ok(count @ 1..) => bytes += count,
                            _ => break,
                        }
                    }
                    let seconds = begin.elapsed().as_secs_f64();
                    stream.shutdown(Shutdown::Both).ok();
                    bytes as f64 / seconds
                })
            })
            .collect();
        let rates = receivers.into_iter().map(|receiver| receiver.join().unwrap()).sum();
        stop.store(true, Ordering::Relaxed);
        rates
    })
}

/// What became of numbered datagrams.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Flood {
    pub sent: usize,
    pub received: usize,
    pub doubled: usize,
}

/// Sends numbered datagrams of `len` bytes from one side to the other for a while, at most `rate` a
/// second (0: as many as possible), and counts.
pub fn flood(
    lab: &Lab,
    from: usize,
    len: usize,
    rate: usize,
    time: Duration,
    numbered: bool,
) -> Flood {
    let receiver = lab.hosts[1 - from].run(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
    grow_buffer(&receiver);
    receiver.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let address =
        SocketAddr::new(host(1 - from, IpVersion::V4), receiver.local_addr().unwrap().port());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let counting = scope.spawn(|| {
            let (mut seen, mut flood) = (HashSet::new(), Flood::default());
            let (mut buffer, mut quiet) = ([0; 2048], 0);
            loop {
                match receiver.recv(&mut buffer) {
                    Ok(count) => {
                        quiet = 0;
                        flood.received += 1;
                        if numbered {
                            let number =
                                u64::from_le_bytes(*buffer[..count].first_chunk().unwrap());
                            flood.doubled += usize::from(!seen.insert(number));
                        }
                    }
                    // On a busy machine what was sent may be a while on its way.
                    Err(_) if quiet == 5 => return flood,
                    Err(_) => quiet += usize::from(done.load(Ordering::Relaxed)),
                }
            }
        });
        let sent = lab.hosts[from]
            .run(|| {
                let socket = UdpSocket::bind("0.0.0.0:0")?;
                socket.connect(address)?;
                let mut data = vec![0; len];
                let (begin, mut sent) = (clock(), 0usize);
                loop {
                    let elapsed = begin.elapsed();
                    if elapsed >= time {
                        return Ok(sent);
                    }
                    let due = if rate == 0 {
                        sent + 64
                    } else {
                        (elapsed.as_secs_f64() * rate as f64) as usize
                    };
                    if due <= sent {
                        std::thread::sleep(Duration::from_micros(200));
                    }
                    for _ in 0..due.saturating_sub(sent) {
                        data[..8].copy_from_slice(&(sent as u64).to_le_bytes());
                        sent += usize::from(socket.send(&data).is_ok());
                    }
                }
            })
            .unwrap();
        done.store(true, Ordering::Relaxed);
        Flood { sent, ..counting.join().unwrap() }
    })
}

/// Streams `megabits` a second from one side to the other for a while; the bytes that arrived.
pub fn stream(lab: &Lab, from: usize, megabits: u64, time: Duration) -> io::Result<u64> {
    const PIECE: usize = 1 << 15;
    let listener = listen(&lab.hosts[1 - from], IpVersion::V4);
    let address = SocketAddr::new(host(1 - from, IpVersion::V4), listener.local_addr()?.port());
    let mut outgoing = connect(lab, from, address)?;
    std::thread::scope(|scope| {
        let sender = scope.spawn(move || {
            outgoing.set_write_timeout(Some(Duration::from_secs(20)))?;
            let (data, rate) = ([0x5a; PIECE], megabits as f64 * 1e6 / 8.0);
            let (begin, mut sent) = (clock(), 0);
            while begin.elapsed() < time {
                if begin.elapsed().as_secs_f64() * rate < sent as f64 {
                    std::thread::sleep(Duration::from_micros(200));
                    continue;
                }
                outgoing.write_all(&data)?;
                sent += PIECE;
            }
            outgoing.shutdown(Shutdown::Write)
        });
        let mut stream = listener.accept()?.0;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let (mut buffer, mut received) = (vec![0; 1 << 17], 0);
        loop {
            match stream.read(&mut buffer)? {
                0 => break,
                count => received += count as u64,
            }
        }
        sender.join().unwrap().map(|()| received)
    })
}

/// TCP segments that both hosts sent again so far (RFC 4022, tcpRetransSegs).
pub fn retransmitted(lab: &Lab) -> u64 {
    let of = |namespace: &Namespace| {
        let text = namespace.run(|| std::fs::read_to_string("/proc/thread-self/net/snmp")).unwrap();
        let mut rows = text.lines().filter_map(|line| line.strip_prefix("Tcp: "));
        let (names, values) = (rows.next().unwrap(), rows.next().unwrap());
        let mut cells = names.split(' ').zip(values.split(' '));
        let cell = cells.find(|(name, _)| *name == "RetransSegs").unwrap();
        cell.1.parse::<u64>().unwrap()
    };
    lab.hosts.iter().map(of).sum()
}

fn grow_buffer(socket: &UdpSocket) {
    use nix::sys::socket::{setsockopt, sockopt};
    setsockopt(socket, sockopt::RcvBufForce, &(32 << 20)).unwrap();
}

/// Datagrams of `len` bytes a second that arrive when as many as possible are sent. Both ends batch
/// their system calls, so that they take as little as they can of the processors that they share
/// with what is measured.
pub fn packet_rate(lab: &Lab, from: usize, len: usize, time: Duration) -> f64 {
    let plain = Batching { gso: false, gro: false };
    let any = |side| SocketAddr::new(host(side, IpVersion::V4), 7777);
    let socket =
        |side: usize| lab.hosts[side].run(|| EspSocket::udp(any(side), any(1 - side), plain));
    let (sender, receiver) = (socket(from).unwrap(), socket(1 - from).unwrap());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let counting = scope.spawn(|| {
            let waker = Waker::new().unwrap();
            let (mut arena, mut received) = (vec![0; 16 * 2048], [Received::default(); 16]);
            let (begin, mut count) = (clock(), 0);
            while !done.load(Ordering::Relaxed) {
                match receiver.receive(&mut arena, 2048, &mut received) {
                    Ok(some) => count += some,
                    Err(_) => {
                        drop(readable(receiver.as_fd(), &waker, Some(Duration::from_millis(50))))
                    }
                }
            }
            count as f64 / begin.elapsed().as_secs_f64()
        });
        let buffer = vec![0x5a; 16 * len];
        let whole = Run { start: 0, len: buffer.len(), segment: len, tos: 0 };
        let runs: Vec<Run> = whole.singles().collect();
        let begin = clock();
        while begin.elapsed() < time {
            // A full queue is the load that is wanted.
            let _ = sender.send(&buffer, &runs);
        }
        done.store(true, Ordering::Relaxed);
        counting.join().unwrap()
    })
}

/// Round trips of small datagrams, one at a time, sorted.
pub fn round_trips(lab: &Lab, count: usize) -> Vec<Duration> {
    round_trips_over(lab, count, IpVersion::V4, 64)
}

/// Round trips of datagrams of `len` bytes over either family, one at a time, sorted.
pub fn round_trips_over(lab: &Lab, count: usize, version: IpVersion, len: usize) -> Vec<Duration> {
    let echo = lab.hosts[1].run(|| UdpSocket::bind(SocketAddr::new(any(version), 0))).unwrap();
    echo.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let address = SocketAddr::new(host(1, version), echo.local_addr().unwrap().port());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut buffer = [0; 2048];
            while !done.load(Ordering::Relaxed) {
                if let Ok((count, from)) = echo.recv_from(&mut buffer) {
                    echo.send_to(&buffer[..count], from).ok();
                }
            }
        });
        let mut times = lab.hosts[0]
            .run(|| {
                let socket = UdpSocket::bind(SocketAddr::new(any(version), 0))?;
                socket.connect(address)?;
                socket.set_read_timeout(Some(Duration::from_millis(500)))?;
                let (data, mut buffer) = (vec![7; len], [0; 2048]);
                let mut times = Vec::new();
                for _ in 0..count {
                    let begin = clock();
                    socket.send(&data)?;
                    if socket.recv(&mut buffer).is_ok_and(|count| count == len) {
                        times.push(begin.elapsed());
                    }
                }
                Ok(times)
            })
            .unwrap();
        done.store(true, Ordering::Relaxed);
        times.sort_unstable();
        times
    })
}
