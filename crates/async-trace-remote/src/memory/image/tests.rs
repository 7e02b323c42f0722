//! The file format: what is written is read, and what is damaged is said to be.

use super::{Facts, Image, PAGE_LEN, PageSet, Recorder, parse, write};
use crate::cpython::Version;
use crate::cpython::locate::Located;
use crate::memory::{Memory, Piece};
use crate::process::Identity;
use proptest::prelude::*;
use std::cell::RefCell;
use std::rc::Rc;

fn facts() -> Facts {
    Facts {
        recorder: "a test".into(),
        arch: "x86_64".into(),
        located: Located {
            runtime: 0x7f00_dead_b000,
            version: Version::new(3, 11, 7),
            asyncio_debug: None,
            free_threaded: false,
            debug_offsets: None,
            debug_build: false,
            file: "/usr/bin/python3".into(),
        },
        identity: Identity {
            pid: 7,
            executable: "/usr/bin/python3".into(),
            command: vec!["python3".into(), "a \"quoted\"\nname".into()],
            state: 'S',
            uid: 1000,
            starttime: 12,
            inner_pid: 1,
            permitted: true,
        },
        threads: Vec::new(),
        surroundings: Default::default(),
        monotonic_ns: Some(5),
        unix_ns: 1_700_000_000_000_000_001,
        problems: Vec::new(),
        pages: 0,
    }
}

/// Pages here and there, each of one byte (0 among them), the last half random.
fn pages(numbers: impl IntoIterator<Item = u64>) -> PageSet {
    let mut pages = PageSet::default();
    for number in numbers {
        let mut page = [(number % 5) as u8; PAGE_LEN];
        let mut noise = number;
        for byte in page.iter_mut().skip(PAGE_LEN / 2).filter(|_| number % 5 > 0) {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = (noise >> 33) as u8;
        }
        pages.put(number, &page);
    }
    pages
}

fn file(pages: &PageSet) -> Vec<u8> {
    let mut file = Vec::new();
    write(&facts(), pages, &mut file).expect("a vector takes all");
    file
}

#[test]
fn what_is_written_is_read() {
    let written = pages((0..700).map(|n| n * n));
    let Image { facts: read, pages, lost } = parse(&file(&written)[..]).expect("an image");
    assert_eq!(read, Facts { pages: 700, ..facts() });
    assert_eq!((pages.numbers(), lost), (written.numbers(), 0));
    for number in written.numbers() {
        assert_eq!(pages.get(number), written.get(number), "{number}");
    }
}

#[test]
fn pages_of_zeros_take_next_to_no_room() {
    let (empty, zeros) = (file(&pages([])), file(&pages((1..=1000).map(|n| n * 5))));
    assert!(zeros.len() - empty.len() < 4000, "{}", zeros.len() - empty.len());
}

#[test]
fn memory_ends_where_a_page_is_missing() {
    let pages = pages([1, 2, 4]);
    let mut bytes = vec![9; 3 * PAGE_LEN];
    assert_eq!(pages.read(PAGE_LEN as u64 + 10, &mut bytes), 2 * PAGE_LEN - 10);
    assert_eq!((bytes[0], bytes[2 * PAGE_LEN - 10]), (1, 9));
    assert_eq!(pages.read(3 * PAGE_LEN as u64, &mut bytes), 0);
    assert_eq!(pages.read(u64::MAX, &mut bytes), 0);
}

#[test]
fn the_recorder_keeps_whole_pages_in_their_newest_version() {
    let kept = Rc::new(RefCell::new(PageSet::default()));
    let recorder = Recorder::new(pages([1, 2, 4]), kept.clone());
    let mut bytes = vec![0; 4 * PAGE_LEN];
    recorder.read(PAGE_LEN as u64 + 10, &mut bytes);
    assert_eq!(kept.borrow().numbers(), [2], "the first page was not read from its beginning");
    let mut pieces = [1, 4].map(|number| Piece { addr: number * 4096, buf: &mut [], whole: false });
    let (mut one, mut four) = ([0; PAGE_LEN], [0; PAGE_LEN]);
    (pieces[0].buf, pieces[1].buf) = (&mut one, &mut four);
    recorder.read_many(&mut pieces);
    assert_eq!(kept.borrow().numbers(), [1, 2, 4]);
    assert_eq!(kept.borrow().get(4).map(|page| page[0]), Some(4));
    kept.borrow_mut().put(4, &[7; PAGE_LEN]);
    assert_eq!(kept.borrow().get(4).map(|page| page[0]), Some(7));
}

#[test]
fn a_cut_file_is_an_error_or_says_what_is_missing() {
    let whole = file(&pages(1..600));
    for end in (0..whole.len()).step_by(whole.len() / 300) {
        match parse(&whole[..end]) {
            Ok(image) => assert!(image.lost > 0, "cut at {end}"),
            Err(reason) => assert!(reason.starts_with("it is"), "{reason}"),
        }
    }
}

#[test]
fn a_bomb_is_not_unpacked() {
    let mut bomb = file(&pages([]));
    bomb.truncate(bomb.len() - 4);
    let packed = miniz_oxide::deflate::compress_to_vec_zlib(&vec![0; 64 << 20], 9);
    for word in [1, 1, packed.len() as u32] {
        bomb.extend(u32::to_le_bytes(word));
    }
    bomb.extend(packed);
    assert_eq!(parse(&bomb[..]).map(|image| (image.pages.len(), image.lost)), Ok((0, 1)));
}

proptest! {
    #[test]
    fn a_damaged_file_is_never_more_than_an_error(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)
    ) {
        let mut file = file(&pages(1..20));
        for (index, byte) in damage {
            *index.get_mut(&mut file) = byte;
        }
        let _ = parse(&file[..]);
    }
}
