//! What a client of a Redis Cluster has to know: which slot a key is in, and what `MOVED` and `ASK`
//! say (<https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/>). Pure.

/// How many slots there are.
pub(super) const SLOTS: usize = 16_384;

/// The slot of a key: CRC16 of it, or of what stands between its first braces.
pub(super) fn slot_of(key: &[u8]) -> usize {
    usize::from(crc16(tag_of(key))) % SLOTS
}

fn tag_of(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|byte| *byte == b'{') else {
        return key;
    };
    let rest = key.get(open + 1..).unwrap_or_default();
    match rest.iter().position(|byte| *byte == b'}') {
        Some(close) if close > 0 => rest.get(..close).unwrap_or_default(),
        _ => key,
    }
}

/// CRC16-CCITT in its XMODEM form: polynomial 0x1021, beginning with 0.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        let mut crc = crc ^ (u16::from(*byte) << 8);
        for _ in 0..8 {
            let carry = crc & 0x8000 != 0;
            crc <<= 1;
            if carry {
                crc ^= 0x1021;
            }
        }
        crc
    })
}

/// Where a slot is, or where it is being moved to, as another node says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(super) slot: usize,
    /// `host:port`, as it stands in an address.
    pub(super) node: String,
}

impl Place {
    /// Reads `<slot> <host>:<port>`. `None` where the node does not know the other's host, or for
    /// anything else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (slot, node) = text.trim().split_once(' ')?;
        let slot = slot.parse().ok().filter(|slot| *slot < SLOTS)?;
        let (host, port) = node.rsplit_once(':')?;
        let port: u16 = port.parse().ok()?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
        if host.is_empty() || !host.bytes().all(plain) {
            return None;
        }
        let node = match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        };
        Some(Self { slot, node })
    }
}

/// The address of another node: of the same kind, with the same login.
pub(super) fn address_of(seed: &str, node: &str) -> Option<String> {
    let start = match seed.rfind('@') {
        Some(at) => at + 1,
        None => seed.find("://")? + 3,
    };
    let (before, rest) = seed.split_at_checked(start)?;
    let end = rest.find('/').unwrap_or(rest.len());
    Some(format!("{before}{node}{}", rest.get(end..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        // The specification's own test of the polynomial.
        assert_eq!(crc16(b"123456789"), 0x31C3);
        // As `CLUSTER KEYSLOT` answers.
        for (key, slot) in [("foo", 12_182), ("bar", 5_061), ("", 0)] {
            assert_eq!(slot_of(key.as_bytes()), slot, "{key}");
        }
        let lock = slot_of(b"user:7:lock");
        assert_eq!(slot_of(b"{user:7:lock}:cache:profile"), lock);
        assert_eq!(slot_of(b"{foo}{bar}"), slot_of(b"foo"));
        assert_ne!(slot_of(b"{}foo"), slot_of(b""));
    }

    #[test]
    fn a_redirection_names_a_slot_and_a_node() {
        let node = |text: &str| Place::parse(text).map(|place| place.node);
        assert_eq!(node("3999 10.0.0.7:6381").as_deref(), Some("10.0.0.7:6381"));
        assert_eq!(node("1 a.example:6379").as_deref(), Some("a.example:6379"));
        assert_eq!(node("1 fd00::1:6379").as_deref(), Some("[fd00::1]:6379"));
        for wrong in [
            "",
            "1",
            "16384 h:1",
            "-1 h:1",
            "1 :6379",
            "1 ?:6379",
            "1 h:0x1",
            "1 u@h:1",
            "1 h/x:1",
        ] {
            assert_eq!(Place::parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn another_node_is_reached_as_the_first() {
        let address = |seed| address_of(seed, "n:2");
        let plain = address("redis://h:1/0");
        assert_eq!(plain.as_deref(), Some("redis://n:2/0"));
        let login = address("rediss://u:p%40w@[::1]:1/3");
        assert_eq!(login.as_deref(), Some("rediss://u:p%40w@n:2/3"));
    }
}
