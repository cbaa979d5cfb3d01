//! The ports and networks that a check names, where it compares with nothing else.

use std::{collections::BTreeSet, net::Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use super::{Against, Check, Number, Test};
use crate::rule::{Covers, Net, syntax::Op};

/// The networks that it compares with. None where one of version 6 has addresses of version 4 in it as [`Net`] writes them: a
/// rule does not mean those.
pub(crate) fn nets(check: &Check) -> Option<BTreeSet<Net>> {
    let Against::Test(Test::Nets(ranges)) = &check.against else { return None };
    let v4 = Net::from(IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0)));
    let net = |net: IpNet| {
        let is_v4 = matches!(net, IpNet::V4(_));
        let net = Net::from(net);
        (is_v4 || !v4.covers(&net) && !net.covers(&v4)).then_some(net)
    };
    ranges.nets().map(net).collect()
}

/// The ports that it compares with.
pub(crate) fn ports(check: &Check) -> Option<BTreeSet<u16>> {
    let Against::Test(test) = &check.against else { return None };
    let port = |number: &Number| match number {
        Number::Whole(number) => u16::try_from(*number).ok(),
        Number::Fraction(_) => None,
    };
    match test {
        Test::Number(Op::Eq | Op::Ne, number) => Some([port(number)?].into()),
        Test::Numbers(numbers) => numbers.iter().map(port).collect(),
        _ => None,
    }
}
