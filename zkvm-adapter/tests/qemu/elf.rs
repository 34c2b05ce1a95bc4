//! Writes ELF files for both machines.

/// A static executable with one segment of code and one of data.
#[derive(Clone, Debug)]
pub struct Program {
    /// Where the code is, and the entry point.
    pub code_at: u32,
    pub code: Vec<u32>,
    pub data_at: u32,
    pub data: Vec<u8>,
}

/// A program header: type PT_LOAD unless said otherwise.
#[derive(Clone, Debug)]
pub struct Segment {
    pub kind: u32,
    pub at: u32,
    pub bytes: Vec<u8>,
    /// Bytes in memory.
    pub size: u32,
    /// 1 execute, 2 write, 4 read.
    pub flags: u32,
}

pub const PT_LOAD: u32 = 1;
pub const RX: u32 = 5;
pub const RW: u32 = 6;

impl Segment {
    pub fn new(at: u32, bytes: Vec<u8>, flags: u32) -> Self {
        let size = bytes.len() as u32;
        Self { kind: PT_LOAD, at, bytes, size, flags }
    }
}

impl Program {
    pub fn to_elf(&self) -> Vec<u8> {
        let code = self.code.iter().flat_map(|word| word.to_le_bytes()).collect();
        let segments = [Segment::new(self.code_at, code, RX), Segment::new(self.data_at, self.data.clone(), RW)];
        elf(self.code_at, &segments)
    }
}

/// An ELF file of a static RISC-V executable.
pub fn elf(entry: u32, segments: &[Segment]) -> Vec<u8> {
    const HEADER: usize = 52;
    const PROGRAM_HEADER: usize = 32;
    let mut file = b"\x7fELF\x01\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend([2u16, 243].iter().flat_map(|half| half.to_le_bytes())); // ET_EXEC, EM_RISCV
    file.extend([1, entry, HEADER as u32, 0, 0].iter().flat_map(|word: &u32| word.to_le_bytes()));
    let halves = [HEADER as u16, PROGRAM_HEADER as u16, segments.len() as u16, 40, 0, 0];
    file.extend(halves.iter().flat_map(|half| half.to_le_bytes()));
    assert_eq!(file.len(), HEADER);

    // A segment's place in the file is that of its address, modulo the page.
    let place = |end: usize, at: u32| end + (at as usize).wrapping_sub(end) % 4096;
    let mut end = HEADER + segments.len() * PROGRAM_HEADER;
    for segment in segments {
        let offset = place(end, segment.at);
        end = offset + segment.bytes.len();
        let words = [
            segment.kind,
            offset as u32,
            segment.at,
            segment.at,
            segment.bytes.len() as u32,
            segment.size,
            segment.flags,
            4096,
        ];
        file.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    }
    for segment in segments {
        file.resize(place(file.len(), segment.at), 0);
        file.extend(&segment.bytes);
    }
    file
}
