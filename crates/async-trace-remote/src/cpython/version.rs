//! CPython's version numbers.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A version of CPython, in the parts of `sys.hexversion`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    /// 3.
    pub major: u8,
    /// The one that decides how objects lie in memory.
    pub minor: u8,
    /// The patch release.
    pub micro: u8,
    /// 0xa alpha, 0xb beta, 0xc release candidate, 0xf final.
    pub level: u8,
    /// Which of those.
    pub serial: u8,
}

impl Version {
    /// A final release.
    #[must_use]
    pub const fn new(major: u8, minor: u8, micro: u8) -> Self {
        Self { major, minor, micro, level: 0xf, serial: 0 }
    }

    /// From `Py_Version` (3.11+), which is `sys.hexversion`. Nothing where it is not a version of
    /// Python 3.
    #[must_use]
    pub fn from_hex(hex: u32) -> Option<Self> {
        let [low, micro, minor, major] = hex.to_le_bytes();
        let version = Self { major, minor, micro, level: low >> 4, serial: low & 0xf };
        (major == 3 && minor < 64 && (0xa..=0xf).contains(&version.level)).then_some(version)
    }

    /// Whether it is of the series `major.minor` or a later one.
    #[must_use]
    pub fn at_least(self, major: u8, minor: u8) -> bool {
        (self.major, self.minor) >= (major, minor)
    }

    /// From the beginning of `sys.version`: `3.9.18 (main, …`, `3.10.0rc2 (…`, `3.11.4+ (…`.
    #[must_use]
    pub fn from_banner(banner: &[u8]) -> Option<Self> {
        let (major, rest) = number(banner)?;
        let (minor, rest) = number(rest.strip_prefix(b".")?)?;
        let (micro, rest) = number(rest.strip_prefix(b".")?)?;
        let (level, rest) = match rest {
            [b'a', rest @ ..] => (0xa, rest),
            [b'b', rest @ ..] => (0xb, rest),
            [b'r', b'c', rest @ ..] => (0xc, rest),
            rest => (0xf, rest),
        };
        let (serial, rest) = if level == 0xf { (0, rest) } else { number(rest)? };
        let rest = rest.strip_prefix(b"+").unwrap_or(rest);
        let version = Self { major, minor, micro, level, serial };
        (matches!(major, 2..=4) && rest.starts_with(b" (")).then_some(version)
    }

    /// The series from a file name: `libpython3.9.so.1.0`, `/usr/bin/python3.10`,
    /// `/usr/lib/python3.12/…`. The patch release stays 0.
    #[must_use]
    pub fn from_path(path: &str) -> Option<Self> {
        path.match_indices("python").find_map(|(at, word)| {
            let rest = path.as_bytes().get(at + word.len()..)?;
            let (major, rest) = number(rest)?;
            let (minor, _) = number(rest.strip_prefix(b".")?)?;
            matches!(major, 2..=4).then_some(Self::new(major, minor, 0))
        })
    }
}

fn number(text: &[u8]) -> Option<(u8, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at_checked(digits)?;
    Some((std::str::from_utf8(number).ok()?.parse().ok()?, rest))
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.micro)?;
        match self.level {
            0xa => write!(f, "a{}", self.serial),
            0xb => write!(f, "b{}", self.serial),
            0xc => write!(f, "rc{}", self.serial),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints_versions() {
        let shown = |hex| Version::from_hex(hex).map(|version| version.to_string());
        assert_eq!(shown(0x030b_07f0).as_deref(), Some("3.11.7"));
        assert_eq!(shown(0x030f_00c2).as_deref(), Some("3.15.0rc2"));
        assert_eq!(shown(0x030e_00a7).as_deref(), Some("3.14.0a7"));
        assert_eq!((shown(0), shown(0x020b_07f0), shown(0x030b_0700)), (None, None, None));
    }

    #[test]
    fn reads_the_text_of_sys_version() {
        let read = |text: &str| Version::from_banner(text.as_bytes()).map(|version| version.to_string());
        assert_eq!(read("3.9.18 (main, Jan").as_deref(), Some("3.9.18"));
        assert_eq!(read("3.10.0rc2 (default").as_deref(), Some("3.10.0rc2"));
        assert_eq!(read("3.9.2+ (heads/3.9").as_deref(), Some("3.9.2"));
        for not in ["3.9.18", "3.9 (main", "9.9.1 (x", "3.9.1000 (x", "", "3.", "3.9.1rc (x"] {
            assert_eq!(read(not), None, "{not}");
        }
    }

    #[test]
    fn reads_the_series_from_a_path() {
        let read = |path| Version::from_path(path).map(|version| (version.major, version.minor));
        assert_eq!(read("/usr/lib/libpython3.9.so.1.0"), Some((3, 9)));
        assert_eq!(read("/home/python/bin/python3.10"), Some((3, 10)));
        assert_eq!(read("/usr/bin/python2.7"), Some((2, 7)));
        assert_eq!(read("/usr/bin/python3"), None);
        assert_eq!(read("/usr/bin/bash"), None);
    }

    #[test]
    fn orders_releases() {
        let hex = |hex| Version::from_hex(hex).expect("a version");
        assert!(hex(0x030f_00a1) < hex(0x030f_00c2) && hex(0x030f_00c2) < Version::new(3, 15, 0));
        assert!(Version::new(3, 10, 0).at_least(3, 9) && !Version::new(3, 9, 18).at_least(3, 10));
    }
}
