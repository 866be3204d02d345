import Foundation
import Testing

@testable import Protocol

@Suite("Keys")
struct KeyTests {
  @Test func z85AgreesWithTheSpecificationsExample() throws {
    // ZeroMQ RFC 32, section "Test case".
    let bytes: [UInt8] = [0x86, 0x4F, 0xD2, 0x6F, 0xB5, 0x59, 0xF7, 0x5B]
    var text = [UInt8](repeating: 0, count: 10)
    #expect(bytes.withUnsafeBytes { bytes in text.withUnsafeMutableBytes { Z85.encode(bytes, into: $0) } })
    #expect(String(decoding: text, as: UTF8.self) == "HelloWorld")
    var decoded = [UInt8](repeating: 0, count: 8)
    #expect(text.withUnsafeBytes { text in decoded.withUnsafeMutableBytes { Z85.decode(text, into: $0) } })
    #expect(decoded == bytes)
  }

  @Test func aPublicKeyMatchesTheSpecificationsExample() throws {
    // ZeroMQ RFC 26 and zmq_curve(7): the client's key of the examples.
    let text = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"
    let key = try #require(CurvePublicKey(z85: text))
    #expect(key.bytes.prefix(4) == [0xBB, 0x88, 0x47, 0x1D])
    #expect(key.z85 == text)
    #expect(CurvePublicKey(bytes: key.bytes) == key)
  }

  @Test(arguments: [
    "", "Yne@", String(repeating: "0", count: 39), String(repeating: "0", count: 41),
    String(repeating: "~", count: 40), String(repeating: "#", count: 40), String(repeating: "é", count: 20),
  ])
  func aTextThatIsNoKeyIsRefused(text: String) {
    // "#####" would stand for 85⁵ − 1, which is over 2³².
    #expect(CurvePublicKey(z85: text) == nil)
    #expect(OwnerKey(z85: text) == nil)
  }

  @Test func aPublicKeyOfAnotherLengthIsRefused() {
    #expect(CurvePublicKey(bytes: [UInt8](repeating: 0, count: 31)) == nil)
    #expect(CurvePublicKey(bytes: [UInt8](repeating: 0, count: 33)) == nil)
  }

  @Test func generatedPairsDifferAndDoNotStartWithAHash() throws {
    let pairs = try (0..<200).map { _ in try CurveKeyPair.generate() }
    #expect(Set(pairs.map(\.publicKey)).count == 200)
    // One text in 85 would.
    #expect(!pairs.contains { $0.publicKey.z85.hasPrefix("#") })
    #expect(!pairs.contains { $0.withSecretText { $0.first == UInt8(ascii: "#") } })
  }

  @Test func aPairShowsNothingOfItsSecret() throws {
    let pair = try CurveKeyPair.generate()
    let secret = pair.withSecretText { String(decoding: $0, as: UTF8.self) }
    var dumped = ""
    dump(pair, to: &dumped)
    for shown in ["\(pair)", String(reflecting: pair), dumped] { #expect(!shown.contains(secret.prefix(8))) }
    let child = try #require(Mirror(reflecting: pair).children.first { $0.label == "secret" })
    #expect(Mirror(reflecting: child.value).children.isEmpty)
    #expect("\(child.value)" == "<32 secret bytes>")
  }
}
