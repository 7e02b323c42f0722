//! Tables in the making: what is equal gets one number. All text is escaped on its way in.

use super::data::{Frame, Link, Piece, SaidId, Tables};
use async_trace_core::frame::{self, Origin};
use async_trace_core::render::{Mention, Role, Said, Teller};
use async_trace_core::text::escape;
use std::collections::HashMap;
use std::sync::Arc;

/// Finds out which place of the page a name belongs to.
pub(super) trait Places {
    fn place(&self, of: Mention) -> Option<Link>;
}

#[derive(Default)]
pub(super) struct Interner<'a> {
    pub tables: Tables,
    text: HashMap<String, u32>,
    pieces: HashMap<Piece, u32>,
    said: HashMap<Vec<u32>, u32>,
    frames: HashMap<&'a frame::Frame, u32>,
    chains: HashMap<Vec<u32>, u32>,
    /// Readers share equal chains: most are known by their address.
    by_address: HashMap<(*const frame::Frame, usize), u32>,
    kinds: HashMap<String, u32>,
}

impl<'a> Interner<'a> {
    pub(super) fn text(&mut self, text: &str) -> u32 {
        self.escaped(&escape(text))
    }

    fn escaped(&mut self, text: &str) -> u32 {
        if let Some(known) = self.text.get(text) {
            return *known;
        }
        let next = self.tables.text.len() as u32;
        self.tables.text.push(text.to_owned());
        self.text.insert(text.to_owned(), next);
        next
    }

    /// A sentence; its pieces are escaped already.
    pub(super) fn said(&mut self, said: &Said, places: &impl Places) -> SaidId {
        let mut pieces: Vec<Piece> = Vec::with_capacity(said.len());
        for piece in said {
            let text = self.escaped(&piece.text);
            pieces.push(Piece {
                role: role(piece.role),
                text,
                link: piece.of.and_then(|of| places.place(of)),
            });
        }
        let numbers: Vec<u32> = pieces.into_iter().map(|piece| self.piece(piece)).collect();
        let next = self.tables.said.len() as u32;
        *self.said.entry(numbers).or_insert_with_key(|numbers| {
            self.tables.said.push(numbers.clone());
            next
        })
    }

    fn piece(&mut self, piece: Piece) -> u32 {
        let next = self.tables.pieces.len() as u32;
        *self.pieces.entry(piece).or_insert_with(|| {
            self.tables.pieces.push(piece);
            next
        })
    }

    pub(super) fn chain(&mut self, chain: &'a Arc<[frame::Frame]>, teller: &Teller<'_>) -> u32 {
        let address = (chain.as_ptr(), chain.len());
        if let Some(known) = self.by_address.get(&address) {
            return *known;
        }
        let frames: Vec<u32> = chain.iter().map(|frame| self.frame(frame, teller)).collect();
        let next = self.tables.chains.len() as u32;
        let number = *self.chains.entry(frames).or_insert_with_key(|frames| {
            self.tables.chains.push(frames.clone());
            next
        });
        self.by_address.insert(address, number);
        number
    }

    fn frame(&mut self, frame: &'a frame::Frame, teller: &Teller<'_>) -> u32 {
        if let Some(known) = self.frames.get(frame) {
            return *known;
        }
        let origin = match frame.origin {
            Origin::Own => 0,
            _ if Teller::is_plumbing(frame) => 3,
            Origin::Library => 1,
            Origin::Stdlib => 2,
        };
        let made = Frame {
            function: self.text(&frame.function),
            file: self.text(&frame.file),
            short: self.text(teller.file(frame)),
            package: self.text(Teller::package(frame)),
            line: frame.line,
            origin,
            source: frame.source.as_ref().map(|source| self.text(source)),
            locals: frame.locals.iter().map(|l| (self.text(&l.name), self.text(&l.value))).collect(),
        };
        let next = self.tables.frames.len() as u32;
        self.tables.frames.push(made);
        self.frames.insert(frame, next);
        next
    }

    /// A word for what is waited for.
    pub(super) fn kind(&mut self, word: &str) -> u32 {
        if let Some(known) = self.kinds.get(word) {
            return *known;
        }
        let next = self.tables.kinds.len() as u32;
        self.tables.kinds.push(escape(word).into_owned());
        self.kinds.insert(word.to_owned(), next);
        next
    }
}

/// As the script's list of style classes counts them.
fn role(role: Role) -> u8 {
    match role {
        Role::Plain | Role::Rule => 0,
        Role::Heading => 1,
        Role::Task => 2,
        Role::Function => 3,
        Role::Place => 4,
        Role::Library => 5,
        Role::Resource => 6,
        Role::Thread => 7,
        Role::Alarm => 8,
        Role::Source => 9,
    }
}
