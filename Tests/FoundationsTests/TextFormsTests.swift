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
    (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_560_000, "1.6 MB"), (2_000_000_000, "2.0 GB"),
    (5_000_000_000_000_000, "5000.0 TB"),
  ])
  func traffic(bytes: Int, text: String) {
    #expect(ByteSize.decimalText(bytes) == text)
  }

  @Test(
    arguments: [
      (nil, "more bytes than can be counted"), (0, "0 bytes"), (1_048_575, "1048575 bytes"), (1_048_576, "1.0 MiB"),
      (1_572_864, "1.5 MiB"), (2_097_151, "1.9 MiB"), (.max, "8796093022207.9 MiB"),
    ] as [(Int?, String)])
  func memory(bytes: Int?, text: String) {
    #expect(ByteSize.binaryText(bytes) == text)
  }

  @Test(
    arguments: [
      (0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1025, "2 KiB"), (1_048_575, "1024 KiB"), (1_048_576, "1 MiB"),
      (1_048_577, "2 MiB"), (.max, "8796093022208 MiB"),
    ] as [(Int, String)])
  func lists(bytes: Int, text: String) {
    #expect(ByteSize.wholeText(bytes) == text)
  }

  @Test(arguments: [(4_294_967_296, "4G"), (524_288_000, "500M")]) func limits(bytes: Int, text: String) {
    #expect(ByteSize.argumentText(bytes) == text)
    #expect(ByteSize.parse(text) == bytes)
  }

  @Test(
    arguments: [
      (0, "0"), (999, "999"), (1000, "1,000"), (-1_234_567, "-1,234,567"), (.min, "-9,223,372,036,854,775,808"),
    ] as [(Int, String)])
  func counts(value: Int, text: String) {
    #expect(QuantityText.count(value) == text)
  }

  @Test(
    arguments: [
      (0.4, "0 s"), (59.4, "59 s"), (60.0, "1 min"), (61.0, "1 min 1 s"), (3600.0, "1 h"), (3661.0, "1 h 1 min"),
      (-1.0, "–"), (.nan, "–"), (1e9, "–"),
    ] as [(Double, String)])
  func durations(seconds: Double, text: String) {
    #expect(QuantityText.duration(seconds) == text)
  }
}
