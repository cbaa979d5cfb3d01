//! How many bytes wait in the ring: the distance of the two positions that the kernel keeps on the first pages of its mapping.
//! aya has them mapped, too, and does not tell them.
#![allow(
    unsafe_code,
    reason = "neither aya nor the standard library lets memory of the kernel be read otherwise"
)]

use std::{
    io,
    os::fd::RawFd,
    ptr::{self, NonNull},
    sync::atomic::{AtomicU64, Ordering},
};

/// Two pages of the ring, mapped for reading: the consumer's position begins the first, the producer's the second.
pub(super) struct Positions {
    pages: NonNull<libc::c_void>,
    page: usize,
}

impl Positions {
    /// Maps them. `ring`: the map's descriptor, which may be closed afterwards.
    pub(super) fn map(ring: RawFd) -> io::Result<Self> {
        let page = procfs::page_size() as usize;
        // SAFETY: a new mapping at a place of the kernel's choice touches nothing that is there.
        let pages =
            unsafe { libc::mmap(ptr::null_mut(), 2 * page, libc::PROT_READ, libc::MAP_SHARED, ring, 0) };
        match NonNull::new(pages) {
            Some(pages) if pages.as_ptr() != libc::MAP_FAILED => Ok(Self { pages, page }),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Bytes between the two, headers of records and what is reserved and not yet written included.
    pub(super) fn waiting(&self) -> u64 {
        let consumer = self.at(0);
        // Read second, it can only be ahead of the other.
        self.at(self.page).saturating_sub(consumer)
    }

    fn at(&self, offset: usize) -> u64 {
        // SAFETY: `offset` is the beginning of one of the two pages, which stay mapped as long as `self` lives and are aligned
        // for it; the kernel and aya change what is there by atomic stores of this width.
        unsafe { AtomicU64::from_ptr(self.pages.as_ptr().byte_add(offset).cast()) }.load(Ordering::Acquire)
    }
}

impl Drop for Positions {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nobody has a reference into it.
        unsafe { libc::munmap(self.pages.as_ptr(), 2 * self.page) };
    }
}
