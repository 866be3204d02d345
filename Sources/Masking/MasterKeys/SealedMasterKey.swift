package import Cryptography
package import Foundations
import Foundation

/// A deployment's masking key on its way from the owner to one client, through a host that cannot open it.
///
/// A box of NaCl under the owner's and the client's CURVE keys. Inside: the 16 bytes "deployment key 1", the deployment's id, the key's
/// number (8 bytes, little-endian), the client's public key and the 32 bytes of the master key. Id, number and recipient stand in the box
/// because a box alone says no more than which two keys it is between.
package enum SealedMasterKey {
  private static let magic = Array("deployment key 1".utf8)

  /// - Parameters:
  ///   - key: its `job` is the deployment.
  ///   - number: of the key in the deployment, from 1.
  ///   - client: its X25519 public key, 32 bytes.
  /// - Throws: `MaskingError.recipientKey` for a client's key that anybody could open the box with.
  package static func seal(
    _ key: MasterKey, number: Int, to client: [UInt8], from owner: KeyAgreement
  ) throws(MaskingError) -> [UInt8] {
    var message = head(key.job, number, client)
    message.reserveCapacity(message.count + MasterKey.byteCount)
    key.secret.withUnsafeBytes { message.append(contentsOf: $0) }
    defer { erase(&message) }
    do throws(CryptographyError) {
      return try Box.seal(message, to: client, from: owner)
    } catch {
      throw .recipientKey
    }
  }

  /// - Parameters:
  ///   - sealed: as it came from the host.
  ///   - owner: its X25519 public key, 32 bytes.
  /// - Throws: `MaskingError.sealedKey` unless the owner sealed it for this client, this deployment and this number.
  package static func open(
    _ sealed: [UInt8], deployment: JobID, number: Int, from owner: [UInt8], by client: KeyAgreement
  ) throws(MaskingError) -> MasterKey {
    var message: [UInt8]
    do throws(CryptographyError) {
      message = try Box.open(sealed, from: owner, by: client)
    } catch {
      throw .sealedKey
    }
    defer { erase(&message) }
    let head = head(deployment, number, client.publicKey)
    guard message.count == head.count + MasterKey.byteCount, message.starts(with: head) else { throw .sealedKey }
    let secret = message.withUnsafeBytes { bytes in
      SecretBuffer(copying: UnsafeRawBufferPointer(rebasing: bytes[head.count...]))
    }
    return MasterKey(job: deployment, secret: secret)
  }

  private static func head(_ deployment: JobID, _ number: Int, _ client: [UInt8]) -> [UInt8] {
    magic + deployment.bytes + withUnsafeBytes(of: Int64(number).littleEndian) { Array($0) } + client
  }

  private static func erase(_ bytes: inout [UInt8]) {
    bytes.withUnsafeMutableBytes { bytes in
      if let address = bytes.baseAddress { explicit_bzero(address, bytes.count) }
    }
  }
}

extension MasterKey {
  /// What the noise and the order of tokens of one question are drawn from: a secret of the client alone, so that neither the deployment's
  /// other clients nor its owner can take them off. The same for a question that is sent again.
  ///
  /// - Parameters:
  ///   - secret: the client's own, of any length; zeroed by the caller.
  ///   - number: of the question.
  package convenience init(ofQuestion number: Int, deployment: JobID, secret: UnsafeRawBufferPointer) {
    self.init(
      job: deployment,
      secret: HKDF.deriveKey(
        from: secret, info: Array("deployment/\(deployment)/question \(number)".utf8), byteCount: Self.byteCount))
  }
}
