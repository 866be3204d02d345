internal import Cryptography
internal import Foundations

/// How the vector of a sum is laid out: blocks of numbers of one kind, one after the other. All sites of a sum have the same, which
/// its digest proves.
package struct VectorFormat: Sendable, Equatable {
  /// What the entries of a block are, in a 64-bit two's complement integer each.
  package enum Kind: Sendable, Equatable {
    /// A real number of size at most `clip`, times an integer weight from 1 to `weightBound`, times 2^`fractionBits`, rounded.
    case fixedPoint(clip: Double, fractionBits: Int, weightBound: Int)
    /// A whole number of size at most `bound`.
    case integer(bound: Int)
  }

  package struct Block: Sendable, Equatable {
    /// For error messages and to find the block: 1 to 80 bytes, printable.
    package let name: String
    /// Entries, at least 1.
    package let count: Int
    package let kind: Kind

    package init(name: String, count: Int, kind: Kind) {
      self.name = name
      self.count = count
      self.kind = kind
    }
  }

  package let blocks: [Block]
  /// The most sites a sum of it may be over.
  package let sites: Int
  /// Entries of all blocks.
  package let count: Int
  /// SHA-256 of the layout.
  package let digest: [UInt8]

  private static let mostBlocks = 1024

  /// - Throws: `.layout`; `.bound` for a kind outside its range; `.doesNotFit` with the table.
  package init(blocks: [Block], sites: Int) throws(FixedPointError) {
    guard SumLimits.plainSites.contains(sites) else { throw .bound("\(sites) sites, expected 2 to 1000") }
    guard (1...Self.mostBlocks).contains(blocks.count) else {
      throw .layout("\(blocks.count) blocks, expected 1 to \(Self.mostBlocks)")
    }
    var names = Set<String>()
    var count = 0
    for block in blocks {
      guard SumLimits.isText(block.name) else {
        throw .layout("a block's name has 1 to \(SumLimits.textBytes) printable bytes")
      }
      guard names.insert(block.name).inserted else { throw .layout("two blocks are called \(block.name)") }
      guard (1...SumLimits.entries).contains(block.count) else {
        throw .layout("\(block.count) entries of \(block.name), expected 1 to 2^40")
      }
      count += block.count
      try block.kind.check(block.name)
    }
    guard count <= SumLimits.entries else { throw .layout("\(count) entries, expected at most 2^40") }
    let table = Self.table(of: blocks, sites: sites)
    guard table.fits else { throw .doesNotFit(table) }
    self.blocks = blocks
    self.sites = sites
    self.count = count
    digest = SHA256.hash(Self.bytes(of: blocks, sites: sites)).bytes
  }

  package var table: BitTable { Self.table(of: blocks, sites: sites) }

  /// A vector of zeros.
  package func vector() -> [UInt64] {
    [UInt64](repeating: 0, count: count)
  }

  /// Where a block lies in the vector.
  package func range(of name: String) -> Range<Int>? {
    var start = 0
    for block in blocks {
      if block.name == name { return start..<start + block.count }
      start += block.count
    }
    return nil
  }

  private static func table(of blocks: [Block], sites: Int) -> BitTable {
    BitTable(rows: blocks.map { BitTable.row($0.name, $0.kind, sites: sites) })
  }

  /// Version 1: whatever decides what an entry means.
  private static func bytes(of blocks: [Block], sites: Int) -> [UInt8] {
    ByteWriter.message { writer in
      writer.write(UInt16(1))
      writer.write(UInt32(sites))
      writer.write(UInt32(blocks.count))
      for block in blocks {
        writer.write(text: block.name)
        writer.write(UInt64(block.count))
        switch block.kind {
        case .fixedPoint(let clip, let fractionBits, let weightBound):
          writer.write(UInt8(1))
          writer.write(clip.bitPattern)
          writer.write(UInt32(fractionBits))
          writer.write(UInt64(weightBound))
        case .integer(let bound):
          writer.write(UInt8(2))
          writer.write(UInt64(bound))
        }
      }
    }
  }
}

extension VectorFormat.Kind {
  /// - Throws: `.bound`.
  fileprivate func check(_ name: String) throws(FixedPointError) {
    switch self {
    case .fixedPoint(let clip, let fractionBits, let weightBound):
      guard clip.isNormal, clip > 0x1p-62, clip < 0x1p62 else { throw .bound("\(name): a clip of \(clip)") }
      guard (0...120).contains(fractionBits) else { throw .bound("\(name): \(fractionBits) fraction bits") }
      guard (1...1 << 48).contains(weightBound) else { throw .bound("\(name): weights to \(weightBound)") }
    case .integer(let bound):
      guard (1...1 << 61).contains(bound) else { throw .bound("\(name): integers to \(bound)") }
    }
  }
}
