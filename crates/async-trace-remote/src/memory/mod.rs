//! Where bytes come from. Nothing above this room knows whether a target is alive, dead or recorded.

pub(crate) mod addr;
pub(crate) mod core_file;
pub(crate) mod image;
pub(crate) mod live;
pub(crate) mod pages;
mod store;

/// The memory of a target: read-only, by address.
pub(crate) trait Memory {
    /// Fills `buf` from `addr` on, as far as memory is readable without a gap, and returns how many
    /// bytes that were. Addresses come from the target and may be nonsense; that is a 0, not an error.
    fn read(&self, addr: u64, buf: &mut [u8]) -> usize;

    /// Fills many pieces at once; a piece that cannot be read whole has its flag cleared.
    ///
    /// The default reads them one by one. A live process does it in few system calls.
    fn read_many(&self, pieces: &mut [Piece<'_>]) {
        for piece in pieces {
            piece.whole = self.read(piece.addr, piece.buf) == piece.buf.len();
        }
    }
}

/// One piece of [`Memory::read_many`].
pub(crate) struct Piece<'a> {
    pub addr: u64,
    pub buf: &'a mut [u8],
    pub whole: bool,
}
