import Cryptography
import Foundations
import Testing

@testable import Masking

/// A deployment's key on its way through a host.
@Suite struct SealedMasterKeyTests {
  private let deployment = JobID.random()
  private let owner = KeyAgreement.fresh()
  private let client = KeyAgreement.fresh()

  private func bytes(_ key: MasterKey) -> [UInt8] { key.secret.withUnsafeBytes { Array($0) } }

  @Test func itOpensForTheClientAlone() throws {
    let key = MasterKey(for: deployment)
    let sealed = try SealedMasterKey.seal(key, number: 7, to: client.publicKey, from: owner)
    let opened = try SealedMasterKey.open(
      sealed, deployment: deployment, number: 7, from: owner.publicKey, by: client)
    #expect(bytes(opened) == bytes(key) && opened.job == deployment)
    // 16 of magic, 16 of id, 8 of number, 32 of recipient and 32 of key, in a box.
    #expect(sealed.count == 104 + Box.overhead)
    #expect(sealed.count <= 512)
    #expect(throws: MaskingError.sealedKey) {
      _ = try SealedMasterKey.open(sealed, deployment: deployment, number: 8, from: owner.publicKey, by: client)
    }
    #expect(throws: MaskingError.sealedKey) {
      _ = try SealedMasterKey.open(sealed, deployment: .random(), number: 7, from: owner.publicKey, by: client)
    }
    #expect(throws: MaskingError.sealedKey) {
      _ = try SealedMasterKey.open(
        sealed, deployment: deployment, number: 7, from: owner.publicKey, by: .fresh())
    }
    #expect(throws: MaskingError.sealedKey) {
      _ = try SealedMasterKey.open(
        sealed, deployment: deployment, number: 7, from: KeyAgreement.fresh().publicKey, by: client)
    }
    for place in sealed.indices {
      var altered = sealed
      altered[place] ^= 4
      #expect(throws: MaskingError.sealedKey) {
        _ = try SealedMasterKey.open(altered, deployment: deployment, number: 7, from: owner.publicKey, by: client)
      }
    }
  }

  /// The key of a box is the same in both directions: what a client sealed for the owner is not taken for what the owner sealed.
  @Test func aBoxOfTheClientsOwnIsNone() throws {
    let sealed = try SealedMasterKey.seal(MasterKey(for: deployment), number: 1, to: owner.publicKey, from: client)
    #expect(throws: MaskingError.sealedKey) {
      _ = try SealedMasterKey.open(sealed, deployment: deployment, number: 1, from: owner.publicKey, by: client)
    }
  }

  @Test func aRecipientThatHidesNothing() {
    #expect(throws: MaskingError.recipientKey) {
      _ = try SealedMasterKey.seal(
        MasterKey(for: deployment), number: 1, to: [UInt8](repeating: 0, count: 32), from: owner)
    }
  }

  /// The same for a question sent again, another for every other question, deployment and client.
  @Test func secretsOfQuestions() {
    func secret(_ number: Int, _ deployment: JobID, _ client: KeyAgreement) -> [UInt8] {
      client.withSecretBytes { bytes(MasterKey(ofQuestion: number, deployment: deployment, secret: $0)) }
    }
    let first = secret(1, deployment, client)
    #expect(first == secret(1, deployment, client) && first.count == 32)
    #expect(first != secret(2, deployment, client))
    #expect(first != secret(1, .random(), client))
    #expect(first != secret(1, deployment, owner))
    #expect(client.withSecretBytes { Array($0) } != first)
  }
}
