//! What a packet says of itself: where its UDP header is. It knows nothing of DNS.

use aya_ebpf::bindings::__sk_buff;

use crate::kernel::field;

const UDP: u8 = 17;
pub(super) const UDP_HEADER: u32 = 8;
const IPV6_HEADER: u32 = 40;

/// Where the UDP header is, both its ports as they lie in the packet, and whether it is IPv6. The kernel has both headers in
/// the packet's linear part by the time a socket is known.
#[inline(always)]
pub(super) fn udp_header(skb: *mut __sk_buff) -> Option<(u32, u32, bool)> {
    let (data, end) = (field!(skb, data) as usize, field!(skb, data_end) as usize);
    if data + (IPV6_HEADER + UDP_HEADER) as usize > end {
        return short_udp_header(data, end);
    }
    // SAFETY: inside the packet, as compared above.
    let first = unsafe { *(data as *const u8) };
    if first >> 4 != 6 {
        return short_udp_header(data, end);
    }
    // SAFETY: as above.
    let (protocol, ports) = unsafe {
        (*((data + 6) as *const u8), ((data + IPV6_HEADER as usize) as *const u32).read_volatile())
    };
    (protocol == UDP).then_some((IPV6_HEADER, ports, true))
}

#[inline(always)]
fn short_udp_header(data: usize, end: usize) -> Option<(u32, u32, bool)> {
    if data + 20 > end {
        return None;
    }
    // SAFETY: inside the packet, as compared above.
    let (first, protocol) = unsafe { (*(data as *const u8), *((data + 9) as *const u8)) };
    if first >> 4 != 4 || protocol != UDP {
        return None;
    }
    let at = usize::from(first & 0xf) * 4;
    let udp = data + at;
    if udp + UDP_HEADER as usize > end {
        return None;
    }
    // SAFETY: inside the packet, as compared above.
    Some((at as u32, unsafe { (udp as *const u32).read_volatile() }, false))
}
