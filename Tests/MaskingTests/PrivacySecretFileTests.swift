import Cryptography
import Foundation
import Testing

@testable import Masking

@Suite final class PrivacySecretFileTests {
  private let directory = FileManager.default.temporaryDirectory.appendingPathComponent("secret-\(UUID())")

  init() throws {
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
  }

  deinit {
    try? FileManager.default.removeItem(at: directory)
  }

  private func file(_ name: String = "privacy.key") -> PrivacySecretFile {
    PrivacySecretFile(path: directory.appendingPathComponent(name).path)
  }

  private func bytes(_ buffer: SecretBuffer) -> [UInt8] { buffer.withUnsafeBytes(Array.init) }

  @Test func aSecretComesBackFromItsFileWhichIsForItsOwnerAlone() throws {
    let secret = PrivacySecret()
    try file().write(secret)
    #expect(bytes(try file().read().secret) == bytes(secret.secret))
    let attributes = try FileManager.default.attributesOfItem(atPath: file().path)
    #expect(attributes[.posixPermissions] as? Int == 0o600)
    #expect(throws: MaskingError.keyFileExists(path: file().path)) { try self.file().write(PrivacySecret()) }
    #expect(bytes(PrivacySecret().secret) != bytes(secret.secret))
  }

  @Test func filesThatAreNoneAreRefused() throws {
    #expect(throws: MaskingError.self) { try self.file("missing").read() }
    try file().write(PrivacySecret())
    let written = try Data(contentsOf: URL(filePath: file().path))
    #expect(written.count == 48 && written.prefix(16) == Data("privacy secret 1".utf8))
    for (name, content) in [
      ("short", written.dropLast()), ("long", written + [0]),
      ("group", Data("sites' group key".utf8) + written.dropFirst(16)),
    ] {
      #expect(
        FileManager.default.createFile(
          atPath: file(name).path, contents: Data(content), attributes: [.posixPermissions: 0o600]))
      #expect(throws: MaskingError.notAKeyFile(path: file(name).path)) { try self.file(name).read() }
    }
    try FileManager.default.setAttributes([.posixPermissions: 0o604], ofItemAtPath: file().path)
    #expect(throws: MaskingError.keyFileExposed(path: file().path)) { try self.file().read() }
  }

  /// HKDF by itself: extract with a salt of zeros, expand once (RFC 5869).
  @Test func whatIsDerivedIsHKDFOfThePurpose() throws {
    let secret = PrivacySecret(
      secret: Array(repeating: UInt8(7), count: 32).withUnsafeBytes { SecretBuffer(copying: $0) })
    let expected = Array(repeating: UInt8(7), count: 32).withUnsafeBytes {
      HKDF.deriveKey(from: $0, info: Array("privacy/round 1".utf8), byteCount: 32)
    }
    #expect(bytes(secret.derived("round 1")) == bytes(expected))
    #expect(bytes(secret.derived("round 2")) != bytes(expected))
    #expect("\(secret)" == "privacy secret (hidden)")
  }
}
