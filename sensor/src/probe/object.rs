//! The kernel object that was built with this daemon: whether it speaks the same record format, and what of it has to be
//! filled in for the running kernel. It does not know what the programs do.

use std::io::Read;

use flate2::read::ZlibDecoder;
use object::{Object, ObjectSection, ObjectSymbol, SectionKind};
use sensor_common::{ABI_VERSION, constants};

use super::ProbeError;

/// Packed, as `build.rs` left them: megabytes that are looked at once need not lie in every daemon.
macro_rules! packed {
    ($name:literal) => {
        include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".z"))
    };
}

/// How programs read the kernel's structs: there is an object for each way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reads {
    /// Through pointers that they make out of addresses, by the function with this id.
    Casts(u32),
    /// Through pointers that lead from the current task, and else by helper calls.
    Direct,
    /// By helper calls.
    Probes,
}

impl Reads {
    fn packed(self) -> &'static [u8] {
        match self {
            Self::Casts(_) => packed!("vedette-casts.o"),
            Self::Direct => packed!("vedette.o"),
            Self::Probes => packed!("vedette-probes.o"),
        }
    }

    fn cast(self) -> Option<u32> {
        match self {
            Self::Casts(function) => Some(function),
            Self::Direct | Self::Probes => None,
        }
    }
}

/// The object, with the values of [`constants`] in their places.
///
/// # Errors
/// [`ProbeError::Abi`] where it was built for another daemon, [`ProbeError::Object`] where it is damaged or asks for what is
/// not among them.
pub(super) fn object(reads: Reads, values: &[u32]) -> Result<Vec<u8>, ProbeError> {
    let mut object = unpacked(reads.packed())?;
    check_abi(&object)?;
    fill(&mut object, values, reads.cast())?;
    Ok(object)
}

fn unpacked(packed: &[u8]) -> Result<Vec<u8>, ProbeError> {
    let mut object = Vec::new();
    let read = ZlibDecoder::new(packed).read_to_end(&mut object);
    read.map_err(|error| ProbeError::Object(error.to_string()))?;
    Ok(object)
}

/// Bytes of an instruction.
const INSTRUCTION: usize = 8;
/// `BPF_LD | BPF_IMM | BPF_DW`: a register gets the 64 bits whose halves end this instruction and the next.
const LOAD: u8 = 0x18;

/// `BPF_JMP | BPF_CALL`: of a helper, whose number ends the instruction.
const CALL: u8 = 0x85;
/// `BPF_PSEUDO_KFUNC_CALL`, in the upper half of the byte behind it: of a function of the kernel, by the id of its type.
const OF_FUNCTION: u8 = 2 << 4;

/// Puts each value where a program has the number that stands in for it, and the function that casts where one calls it.
fn fill(object: &mut [u8], values: &[u32], cast: Option<u32>) -> Result<(), ProbeError> {
    let missing = |what: &str| ProbeError::Object(format!("it asks for {what}, which nobody gives"));
    for section in code(object)? {
        let mut rest = object.get_mut(section).unwrap_or_default();
        while let Some((first, behind)) = rest.split_first_chunk_mut::<INSTRUCTION>() {
            let [code, registers, _, _, a, b, c, d] = first;
            let low = [*a, *b, *c, *d];
            if *code == CALL && low == constants::CAST.to_le_bytes() {
                *registers = OF_FUNCTION;
                [*a, *b, *c, *d] = cast.ok_or_else(|| missing("a function"))?.to_le_bytes();
            }
            if *code != LOAD {
                rest = behind;
                continue;
            }
            let Some((second, behind)) = behind.split_first_chunk_mut::<INSTRUCTION>() else { break };
            rest = behind;
            let [_, _, _, _, e, f, g, h] = second;
            let high = u32::from_le_bytes([*e, *f, *g, *h]);
            let number = u64::from(high) << 32 | u64::from(u32::from_le_bytes(low));
            let Some(place) = constants::place(number) else { continue };
            let value = values.get(place).ok_or_else(|| missing(&format!("value {place}")))?;
            [*a, *b, *c, *d] = value.to_le_bytes();
            [*e, *f, *g, *h] = [0; 4];
        }
    }
    Ok(())
}

/// Where in the file programs lie.
fn code(object: &[u8]) -> Result<Vec<std::ops::Range<usize>>, ProbeError> {
    let damaged = |error: object::Error| ProbeError::Object(error.to_string());
    let file = object::File::parse(object).map_err(damaged)?;
    let ranges = file.sections().filter(|section| section.kind() == SectionKind::Text);
    let ranges = ranges.filter_map(|section| section.file_range());
    let range = |(at, len): (u64, u64)| Some(usize::try_from(at).ok()?..usize::try_from(at + len).ok()?);
    Ok(ranges.filter_map(range).collect())
}

/// Compares the number that the object carries with ours.
fn check_abi(object: &[u8]) -> Result<(), ProbeError> {
    let file = object::File::parse(object).map_err(|error| ProbeError::Object(error.to_string()))?;
    let found = (|| {
        let symbol = file.symbols().find(|symbol| symbol.name() == Ok("ABI"))?;
        let section = file.section_by_index(symbol.section_index()?).ok()?;
        let at = usize::try_from(symbol.address().checked_sub(section.address())?).ok()?;
        let bytes = section.data().ok()?.get(at..at + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    })();
    match found {
        Some(ABI_VERSION) => Ok(()),
        Some(found) => Err(ProbeError::Abi { found, expected: ABI_VERSION }),
        None => Err(ProbeError::Object("it has no version number".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_of_another_version_is_refused() {
        let built = unpacked(Reads::Direct.packed()).unwrap();
        assert!(matches!(check_abi(b"\x7fELF"), Err(ProbeError::Object(_))));
        let file = object::File::parse(built.as_slice()).unwrap();
        let symbol = file.symbols().find(|symbol| symbol.name() == Ok("ABI")).unwrap();
        let section = file.section_by_index(symbol.section_index().unwrap()).unwrap();
        let at = section.file_range().unwrap().0 + symbol.address();
        let mut other = built.clone();
        other[at as usize] = 200;
        assert!(matches!(check_abi(&other), Err(ProbeError::Abi { found: 200, .. })));
    }

    #[test]
    fn every_program_gets_the_values_that_it_asks_for() {
        let count = constants::OFFSETS + size_of::<sensor_common::Knobs>() / 4;
        let values: Vec<u32> = (0..count as u32).map(|place| 0x00ab_0000 | place).collect();
        for reads in [Reads::Casts(4711), Reads::Direct, Reads::Probes] {
            let (built, filled) = (unpacked(reads.packed()).unwrap(), object(reads, &values).unwrap());
            assert_eq!(casts(&filled), 0);
            assert_eq!(casts(&built) > 100, matches!(reads, Reads::Casts(_)));
            let (marks, filled) = (loads(&built), loads(&filled));
            let places: Vec<_> = marks.iter().filter_map(|number| constants::place(*number)).collect();
            assert!(places.len() > 1000, "{} places", places.len());
            for (mark, value) in marks.iter().zip(&filled) {
                let expected = constants::place(*mark).map_or(*mark, |place| 0x00ab_0000 | place as u64);
                assert_eq!(*value, expected);
            }
            let few = values.get(..20).unwrap();
            assert!(matches!(object(reads, few), Err(ProbeError::Object(_))));
        }
    }

    /// How often the function that casts is called by the number that stands in for it.
    fn casts(object: &[u8]) -> usize {
        let mut call = [0; INSTRUCTION];
        call[0] = CALL;
        call[4..].copy_from_slice(&constants::CAST.to_le_bytes());
        let instructions = code(object).unwrap().into_iter().flat_map(|range| object[range].chunks_exact(8));
        instructions.filter(|bytes| *bytes == call).count()
    }

    /// All numbers of 64 bits that programs load.
    fn loads(object: &[u8]) -> Vec<u64> {
        let instructions = code(object).unwrap().into_iter().flat_map(|range| object[range].chunks_exact(8));
        let mut instructions = instructions.map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap()));
        let mut found = Vec::new();
        while let Some(first) = instructions.next() {
            if first & 0xff == u64::from(LOAD) {
                found.push(first >> 32 | instructions.next().unwrap() & !0xffff_ffff);
            }
        }
        found
    }
}
