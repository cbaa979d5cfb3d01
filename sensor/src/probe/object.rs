//! The kernel object that was built with this daemon, and whether it speaks the same record format.

use std::io::Read;

use flate2::read::ZlibDecoder;
use object::{Object, ObjectSection, ObjectSymbol};
use sensor_common::ABI_VERSION;

use super::ProbeError;

/// Packed, as `build.rs` left it: three megabytes that are looked at once need not lie in every daemon.
static PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/vedette.o.z"));

/// The object.
///
/// # Errors
/// [`ProbeError::Abi`] where it was built for another daemon, [`ProbeError::Object`] where it is damaged.
pub(super) fn object() -> Result<Vec<u8>, ProbeError> {
    let object = unpacked()?;
    check_abi(&object)?;
    Ok(object)
}

fn unpacked() -> Result<Vec<u8>, ProbeError> {
    let mut object = Vec::new();
    let read = ZlibDecoder::new(PACKED).read_to_end(&mut object);
    read.map_err(|error| ProbeError::Object(error.to_string()))?;
    Ok(object)
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
        let built = object().unwrap();
        assert!(matches!(check_abi(b"\x7fELF"), Err(ProbeError::Object(_))));
        let file = object::File::parse(built.as_slice()).unwrap();
        let symbol = file.symbols().find(|symbol| symbol.name() == Ok("ABI")).unwrap();
        let section = file.section_by_index(symbol.section_index().unwrap()).unwrap();
        let at = section.file_range().unwrap().0 + symbol.address();
        let mut other = built.clone();
        other[at as usize] = 200;
        assert!(matches!(check_abi(&other), Err(ProbeError::Abi { found: 200, .. })));
    }
}
