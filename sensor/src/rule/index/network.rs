//! Networks as ranges of addresses: an address is found by binary search, whatever the number of networks.

use std::net::IpAddr;

use ipnet::IpNet;

/// A set of addresses: ranges that neither overlap nor touch, in ascending order. The two families are apart.
#[derive(Debug, Default)]
pub(crate) struct Ranges {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl Ranges {
    pub(crate) fn new(nets: &[IpNet]) -> Self {
        let mut ranges = Self::default();
        for net in nets {
            match (net.network(), net.broadcast()) {
                (IpAddr::V4(first), IpAddr::V4(last)) => ranges.v4.push((first.into(), last.into())),
                (IpAddr::V6(first), IpAddr::V6(last)) => ranges.v6.push((first.into(), last.into())),
                _ => {}
            }
        }
        merge(&mut ranges.v4);
        merge(&mut ranges.v6);
        ranges
    }

    /// The networks.
    pub(crate) fn nets(&self) -> impl Iterator<Item = IpNet> {
        let bits = |equal: u32| u8::try_from(equal).unwrap_or_default();
        let v4 = self.v4.iter().map(move |(first, last)| {
            IpNet::new_assert(IpAddr::V4((*first).into()), bits((first ^ last).leading_zeros()))
        });
        let v6 = self.v6.iter().map(move |(first, last)| {
            IpNet::new_assert(IpAddr::V6((*first).into()), bits((first ^ last).leading_zeros()))
        });
        v4.chain(v6)
    }

    pub(crate) fn contain(&self, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(ip) => within(&self.v4, ip.into()),
            IpAddr::V6(ip) => within(&self.v6, ip.into()),
        }
    }
}

/// Networks lie in each other or apart, so that only the widest are left.
fn merge<A: Copy + Ord>(ranges: &mut Vec<(A, A)>) {
    ranges.sort_unstable_by(|(first, last), (other, end)| first.cmp(other).then(end.cmp(last)));
    ranges.dedup_by(|(_, last), (_, end)| *last <= *end);
}

fn within<A: Copy + Ord>(ranges: &[(A, A)], address: A) -> bool {
    let behind = ranges.partition_point(|(first, _)| *first <= address);
    behind.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|(_, last)| address <= *last)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn net() -> impl Strategy<Value = IpNet> {
        // Few bits, so that networks lie in each other and addresses fall on their edges.
        prop_oneof![
            (0_u32..64, 20_u8..=32).prop_map(|(address, len)| IpNet::new(
                IpAddr::V4((address << 6).into()),
                len
            )
            .unwrap()),
            (0_u128..64, 110_u8..=128).prop_map(|(address, len)| IpNet::new(
                IpAddr::V6((address << 6).into()),
                len
            )
            .unwrap()),
        ]
    }

    proptest! {
        #[test]
        fn ranges_hold_what_some_network_holds(
            nets in proptest::collection::vec(net(), 0..12),
            addresses in proptest::collection::vec((any::<bool>(), 0_u32..8192), 20),
        ) {
            let ranges = Ranges::new(&nets);
            for (v4, number) in addresses {
                let ip = if v4 { IpAddr::V4(number.into()) } else { IpAddr::V6(u128::from(number).into()) };
                prop_assert_eq!(ranges.contain(ip), nets.iter().any(|net| net.contains(&ip)), "{}", ip);
            }
        }
    }
}
