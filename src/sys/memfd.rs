//! Memory that outlives a process as long as somebody holds its descriptor: memfd_create(2), read
//! and written as a file or mapped as words.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

/// Makes a memfd of `len` zero octets, sealed against another length and against being run
/// as a program. Only this user may open it again.
pub fn create(name: &str, len: u64) -> io::Result<File> {
    fault!(Memfd);
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let fd = match memfd_create(name, flags | never_executable()) {
        // Linux before 6.3 does not know the flag.
        Err(Errno::EINVAL) => memfd_create(name, flags)?,
        made => made?,
    };
    let file = File::from(fd);
    file.set_len(len)?;
    nix::sys::stat::fchmod(&file, nix::sys::stat::Mode::from_bits_truncate(0o600))?;
    fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW))?;
    fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SEAL))?;
    Ok(file)
}

/// Memory that nobody ever runs as a program.
fn never_executable() -> MFdFlags {
    MFdFlags::from_bits_retain(libc::MFD_NOEXEC_SEAL)
}

/// Whether the kernel can forbid that a memfd is run as a program (Linux 6.3).
pub(crate) fn can_forbid_execution() -> bool {
    memfd_create("s2sd-probe", MFdFlags::MFD_CLOEXEC | never_executable()).is_ok()
}

/// Writes into a memfd of [`create`].
pub fn write_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    fault!(StoreWrite);
    file.write_all_at(bytes, at)
}

/// Whether a file is a memfd that [`create`] made with this length.
pub fn is_ours(file: &File, len: u64) -> bool {
    let fixed = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW;
    let seals = fcntl(file, FcntlArg::F_GET_SEALS).map(SealFlag::from_bits_retain);
    seals.is_ok_and(|seals| seals.contains(fixed)) && file.metadata().is_ok_and(|m| m.len() == len)
}

/// A memfd mapped so that its pages can be kept out of the swap: what is written to a memfd is in
/// memory that belongs to no process, and no lock of a process's own memory reaches it.
#[derive(Debug)]
pub struct LockablePages {
    start: NonNull<libc::c_void>,
    len: usize,
}

// SAFETY: nothing is read or written through the mapping; its address and length are plain values.
unsafe impl Send for LockablePages {}

impl LockablePages {
    /// Maps a memfd of [`create`] with this length.
    pub fn map(file: &File, len: u64) -> io::Result<LockablePages> {
        let len = usize::try_from(len).map_err(io::Error::other)?;
        let (nowhere, fd) = (std::ptr::null_mut(), file.as_raw_fd());
        // SAFETY: a new mapping, placed by the kernel; it touches nothing that exists.
        let start = unsafe { libc::mmap(nowhere, len, libc::PROT_READ, libc::MAP_SHARED, fd, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start).ok_or_else(io::Error::last_os_error)?;
        Ok(LockablePages { start, len })
    }

    /// Keeps the first `len` octets from `at` on, a multiple of the page size, out of the swap for
    /// as long as `self` lives. Pages that were never written get their memory now.
    pub fn lock(&self, at: usize, len: usize) -> io::Result<()> {
        fault!(Mlock);
        if at.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // SAFETY: the range is within the mapping, and mlock(2) changes no content.
        match unsafe { libc::mlock(self.start.as_ptr().byte_add(at), len) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Drop for LockablePages {
    fn drop(&mut self) {
        // SAFETY: the mapping that `map` made, into which nothing points.
        unsafe { libc::munmap(self.start.as_ptr(), self.len) };
    }
}

/// A file mapped as words that threads and processes share.
#[derive(Debug)]
pub struct Words {
    start: NonNull<AtomicU64>,
    count: usize,
    file: File,
}

// SAFETY: atomic words may be used from every thread, and the mapping belongs to the process.
unsafe impl Send for Words {}

// SAFETY: as above: all access goes through `AtomicU64`.
unsafe impl Sync for Words {}

impl Words {
    /// Maps `count` words of memory of [`create`].
    pub fn map(file: File, count: usize) -> io::Result<Words> {
        let len = count * size_of::<AtomicU64>();
        // Beyond the end of a file a mapping faults; a sealed file does not shrink later.
        if len == 0 || !is_ours(&file, u64::try_from(len).map_err(io::Error::other)?) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "not a sealed memfd of the expected length",
            ));
        }
        let (rights, fd) = (libc::PROT_READ | libc::PROT_WRITE, file.as_raw_fd());
        let nowhere = std::ptr::null_mut();
        // SAFETY: a new mapping, placed by the kernel; it touches nothing that exists.
        let start = unsafe { libc::mmap(nowhere, len, rights, libc::MAP_SHARED, fd, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(io::Error::last_os_error)?;
        Ok(Words { start, count, file })
    }
}

impl Deref for Words {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: the mapping holds `count` words, page-aligned, and lives as long as `self`;
        // whoever else maps it uses atomics.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.count) }
    }
}

impl AsFd for Words {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        let len = self.count * size_of::<AtomicU64>();
        // SAFETY: the mapping that `map` made; no slice of it outlives `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), len) };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn words_are_shared_and_of_fixed_length() {
        let file = create("test", 64).unwrap();
        assert!(file.set_len(8).is_err() && file.set_len(128).is_err(), "sealed");
        let (first, second) = (
            Words::map(file.try_clone().unwrap(), 8).unwrap(),
            Words::map(file.try_clone().unwrap(), 8).unwrap(),
        );
        first[7].store(42, Ordering::Release);
        assert_eq!(second[7].load(Ordering::Acquire), 42);
        assert_eq!((first.len(), second[0].load(Ordering::Relaxed)), (8, 0));
    }

    #[test]
    fn memory_of_another_length_or_kind_is_not_mapped() {
        assert!(Words::map(create("test", 64).unwrap(), 9).is_err());
        let null = File::options().read(true).write(true).open("/dev/null").unwrap();
        assert!(!is_ours(&null, 0));
        assert!(Words::map(null, 8).is_err());
    }
}
