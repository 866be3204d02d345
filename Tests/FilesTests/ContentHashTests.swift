import Testing

@testable import Files

@Suite struct ContentHashTests {
  private func hash(_ bytes: [UInt8], piece: Int) -> UInt64 {
    var hash = ContentHash()
    var start = 0
    while start < bytes.count {
      let end = min(bytes.count, start + piece)
      Array(bytes[start..<end]).withUnsafeBytes { hash.update($0) }
      start = end
    }
    return hash.value()
  }

  /// Values of the reference implementation with seed 0; the lengths reach every branch (0, 1, 3, 4 … 31, 32, more).
  @Test func valuesOfTheReferenceImplementation() {
    #expect(hash([], piece: 1) == 0xEF46_DB37_51D8_E999)
    #expect(hash(Array("a".utf8), piece: 1) == 0xD24E_C4F1_A98C_6E5B)
    #expect(hash(Array("abc".utf8), piece: 3) == 0x44BC_2CF5_AD77_0999)
    let counting = (0..<200).map { UInt8($0) }
    let expected: [Int: UInt64] = [
      3: 0xE5C7BB4533BC65DD, 4: 0xFFCED8604453CC1E, 7: 0x14CC643F630C72D2,
      8: 0x884A173614B81B8D, 12: 0x424AF23F1F08DCA5, 15: 0xA948F5F0F6ABAC2D,
      31: 0xC346D2B59B4D8EE1, 32: 0xCBF59C5116FF32B4, 33: 0x0C535D1ACAFB8EAD,
      63: 0xE26AA9E2A95F8E4F, 64: 0xF7C67301DB6713F0, 100: 0x6AC1E58032166597,
      200: 0x50DC1079B99E879C,
    ]
    for (length, value) in expected { #expect(hash(Array(counting.prefix(length)), piece: 200) == value, "\(length)") }
  }

  @Test func theCutIntoPiecesDoesNotMatter() {
    let bytes = (0..<300).map { UInt8(truncatingIfNeeded: $0 * 7) }
    let whole = hash(bytes, piece: 300)
    for piece in [1, 5, 31, 32, 33, 64, 100] { #expect(hash(bytes, piece: piece) == whole) }
  }
}
