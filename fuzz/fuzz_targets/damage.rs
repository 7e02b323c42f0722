//! One of the recorded images with some words changed, which gets far deeper than bytes at random: the first
//! byte of the input tells which image, and then each 16 bytes are a place and what stands there.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

#[path = "../survive.rs"]
mod survive;

/// The recorded images with their pages not packed, and where in the file each page begins.
static IMAGES: LazyLock<Vec<(Vec<u8>, Vec<usize>)>> = LazyLock::new(|| {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/async-trace-remote/tests/images");
    let mut paths: Vec<_> = fs::read_dir(home).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "image"));
    paths.sort();
    paths.iter().map(|path| unpack(&fs::read(path).unwrap())).collect()
});

fn unpack(file: &[u8]) -> (Vec<u8>, Vec<usize>) {
    let lines = file.split_inclusive(|byte| *byte == b'\n').take(2);
    let mut at = lines.map(<[u8]>::len).sum::<usize>();
    let (mut out, mut pages) = (file[..at].to_vec(), Vec::new());
    loop {
        let word = |n: usize| u32::from_le_bytes(file[at + 4 * n..][..4].try_into().unwrap());
        let count = word(0) as usize;
        if count == 0 {
            out.extend([0; 4]);
            return (out, pages);
        }
        let size = word(2) as usize;
        let content = miniz_oxide::inflate::decompress_to_vec_zlib(&file[at + 12..][..size]).unwrap();
        for word in [count, 0, content.len()] {
            out.extend(u32::try_from(word).unwrap().to_le_bytes());
        }
        let first = out.len() + 8 * count;
        pages.extend((first..out.len() + content.len()).step_by(4096));
        out.extend(content);
        at += 12 + size;
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((which, damage)) = input.split_first() else { return };
    let (file, pages) = &IMAGES[usize::from(*which) % IMAGES.len()];
    let mut file = file.clone();
    for damage in damage.chunks_exact(16) {
        let place = u64::from_le_bytes(damage[..8].try_into().unwrap()) as usize % (pages.len() * 512);
        let at = pages[place / 512] + place % 512 * 8;
        file[at..at + 8].copy_from_slice(&damage[8..]);
    }
    survive::survive(&file);
});
