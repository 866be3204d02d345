import Testing

@testable import Foundations

@Suite struct TextFormsTests {
  @Test func bytesAreTwoDigitsEach() {
    #expect(([0, 0x0A, 0xFF] as [UInt8]).hexadecimal == "000aff")
    #expect(([] as [UInt8]).hexadecimal == "")
    #expect([UInt8](hexadecimal: "000aFF") == [0, 0x0A, 0xFF])
    #expect([UInt8](hexadecimal: "") == [])
    for text in ["0", "0g", " 0", "+1", "é", "0x"] { #expect([UInt8](hexadecimal: text) == nil, "\(text)") }
  }

  @Test func integersKeepTheirLeadingZeros() {
    #expect((0x1F as UInt64).hexadecimal == "000000000000001f")
    #expect(UInt64.max.hexadecimal == "ffffffffffffffff")
    #expect((7 as UInt16).hexadecimal == "0007")
  }

  @Test(arguments: [
    (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_550_000, "1.6 MB"), (2_000_000_000, "2.0 GB"),
    (5_000_000_000_000_000, "5000.0 TB"),
  ])
  func traffic(bytes: Int, text: String) {
    #expect(ByteSize.decimalText(bytes) == text)
  }

  @Test(arguments: [
    (nil, "more bytes than can be counted"), (0, "0 bytes"), ((1 << 20) - 1, "1048575 bytes"), (1 << 20, "1.0 MiB"),
    ((1 << 20) * 3 / 2, "1.5 MiB"), ((2 << 20) - 1, "1.9 MiB"), (Int.max, "8796093022207.9 MiB"),
  ])
  func memory(bytes: Int?, text: String) {
    #expect(ByteSize.binaryText(bytes) == text)
  }

  @Test(arguments: [
    (0, "0"), (999, "999"), (1000, "1,000"), (-1_234_567, "-1,234,567"), (Int.min, "-9,223,372,036,854,775,808"),
  ])
  func counts(value: Int, text: String) {
    #expect(QuantityText.count(value) == text)
  }

  @Test(arguments: [
    (0.4, "0 s"), (59.4, "59 s"), (60.0, "1 min"), (61.0, "1 min 1 s"), (3600.0, "1 h"), (3661.0, "1 h 1 min"),
    (-1.0, "–"), (Double.nan, "–"), (1e9, "–"),
  ])
  func durations(seconds: Double, text: String) {
    #expect(QuantityText.duration(seconds) == text)
  }
}
