import Cryptography
import Families
import Foundation
package import Foundations
package import Masking
import Models
package import Numerics
package import Protocol

/// A client's secrets and what it computes: masks questions and unmasks answers under the key in force, and takes up the key after it.
///
/// For questions about rows and sequences, and for texts that are continued. Used from one thread.
package final class DeploymentClient<Element: FloatingElement> {
  package let material: ClientMaterial<Element>
  package let deployment: JobID
  package let compute: Compute
  private let own: CurveKeyPair
  private let owner: CurvePublicKey
  private let keep: (MasterKey, Int) throws -> Void
  package private(set) var keyNumber: Int
  /// Whether the key is the one of that number; if not, the next terms bring it.
  private var isKeyInPlace: Bool
  /// Expanded from the key in force.
  package private(set) var keys: JobKeys<Element>

  package var shape: QuestionShape { material.shape }
  /// z85.
  package var publicKey: String { own.publicKey.z85 }

  /// - Parameters:
  ///   - own: the client's CURVE pair.
  ///   - owner: the deployment's, who seals keys.
  ///   - key: the masking key number `keyNumber`, if `isKeyInPlace`.
  ///   - keep: makes a new key durable before anything is masked under it.
  package init(
    material: ClientMaterial<Element>, deployment: JobID, own: CurveKeyPair, owner: CurvePublicKey, key: MasterKey,
    keyNumber: Int, isKeyInPlace: Bool = true, compute: Compute, keep: @escaping (MasterKey, Int) throws -> Void
  ) {
    self.material = material
    self.deployment = deployment
    self.own = own
    self.owner = owner
    self.keyNumber = keyNumber
    self.isKeyInPlace = isKeyInPlace
    self.compute = compute
    self.keep = keep
    keys = JobKeys(master: key, plan: material.shape.keyPlan, compute: compute)
  }

  /// What a client's directory holds.
  ///
  /// - Throws: `OwnerError.otherKey` for a pair that is not the one that the deployment's owner let in; what reading throws.
  package convenience init(_ directory: ClientDirectory, own: CurveKeyPair, compute: Compute) throws {
    let description = try directory.load()
    guard description.client == own.publicKey.z85, let owner = CurvePublicKey(z85: description.owner) else {
      throw OwnerError.otherKey(
        "the deployment lets in the client key \(description.client), and --keys holds \(own.publicKey.z85); give the directory with the other"
      )
    }
    let key = try directory.key(of: description.deployment)
    self.init(
      material: try directory.material(description.shape), deployment: description.deployment, own: own, owner: owner,
      key: key, keyNumber: description.keyNumber,
      isKeyInPlace: description.keyCheck.map { $0 == key.check } ?? true, compute: compute
    ) { try directory.replaceKey($0, in: description, number: $1) }
  }

  /// Opens the deployment over a connection that was greeted.
  ///
  /// - Throws: `OwnerError.refused` where the host has it not, or not for this client.
  package func open(over connection: TrainerConnection<Element>) throws -> DeploymentTerms {
    connection.narrowsValues = shape.precision?.narrowsValues ?? false
    while true {
      try connection.send(.question(.open))
      do {
        return try connection.waitFor { message in
          if case .deployment(.opened(let terms)) = message { return terms }
          return nil
        }
      } catch OwnerError.refused(.exhausted, _) {
        // Of a question that was asked before.
      } catch OwnerError.refused(.refused, let reason) {
        throw OwnerError.refused(
          kind: .refused,
          reason: "\(reason) (if the deployment was taken down, or this client withdrawn, its owner knows)")
      }
    }
  }

  /// Takes up the key that the host says is in force.
  ///
  /// - Returns: whether it is another than before: what was masked and not answered is to be masked again.
  /// - Throws: `MaskingError.sealedKey` for one that the owner did not seal; `OwnerError.protocolViolation` for an older one, which would be
  ///   used beyond its time.
  package func adopt(_ terms: DeploymentTerms) throws -> Bool {
    let counts = 0...(1 << 50)
    guard terms.window >= 1, terms.rowsPerQuestion >= 1, terms.maximumTokens ?? 1 >= 1,
      counts.contains(terms.rowsSeen), counts.contains(terms.lastQuestion), counts.contains(terms.lastSession ?? 0)
    else { throw OwnerError.protocolViolation("terms under which nothing can be asked") }
    if terms.keyNumber == keyNumber, isKeyInPlace { return false }
    guard terms.keyNumber >= keyNumber else {
      throw OwnerError.protocolViolation(
        "it asks for key \(terms.keyNumber), which is older than the \(keyNumber) of this directory; ask the deployment's owner to deploy again"
      )
    }
    let key = try SealedMasterKey.open(
      Array(terms.package), deployment: deployment, number: terms.keyNumber, from: owner.bytes, by: try own.agreement())
    try keep(key, terms.keyNumber)
    keyNumber = terms.keyNumber
    isKeyInPlace = true
    keys = JobKeys(master: key, plan: shape.keyPlan, compute: compute)
    return true
  }

  /// A secret of the client for one query, or one command that generates.
  package func secret(ofQuestion number: Int) -> MasterKey {
    own.withSecretBytes { MasterKey(ofQuestion: number, deployment: deployment, secret: $0) }
  }

  /// Embeds and masks samples of tokens: for one question, or one text's next tokens.
  func packer(question number: Int) throws -> TokenPacker<Element> {
    guard let tokens = shape.tokens, let embedding = material.embedding else {
      throw OwnerError.run("the deployment's model takes rows of features, not tokens")
    }
    let secret = secret(ofQuestion: number)
    return TokenPacker(
      embedding: embedding, keys: keys, master: secret,
      noise: InputNoise(shape.masking, master: secret, for: .prediction),
      settings: tokens.settings(shape.task), compute: compute)
  }

  /// A question as it is sent, the same again for the same rows of the same query under the same key.
  ///
  /// - Parameters:
  ///   - draw: number of the query's own secret, which noise and orders of tokens are drawn from by row.
  ///   - first: the first sample's row in its file.
  /// - Returns: with it, for each sample how many outputs are due and where they belong.
  package func mask(
    _ content: QuestionContent, draw number: Int, first: Int
  ) throws -> (rows: [PredictedRow], delivery: RowDelivery<Element>) {
    // What is sent has no place in the file.
    let slots = (0..<content.rows).map { Int32($0) }
    let numbers = (0..<content.rows).map { Int32(truncatingIfNeeded: first + $0) }
    switch content {
    case .features(var rows):
      let noise = InputNoise(shape.masking, master: secret(ofQuestion: number), for: .prediction)
      try noise?.add(to: &rows, numbers: numbers, workers: compute.workers)
      let masked = try keys.maskInputs(rows.converted(to: Element.self))
      return (
        slots.map { _ in PredictedRow() },
        RowDelivery(
          slots: Tensor(slots, shape: [slots.count]), carried: Tensor<UInt8>(repeating: 1, shape: [slots.count]),
          values: masked)
      )
    case .tokens(let samples):
      let packer = try packer(question: number)
      let orders = packer.orders(pass: 0)
      let rows = zip(numbers, samples).map { number, sample in
        guard packer.settings.task.isPerToken else { return PredictedRow() }
        return PredictedRow(
          outputs: sample.count, columns: orders(sample.count, number).map { Int(sample[$0].column) })
      }
      let packed = try packer.pack(samples, slots: numbers, pass: 0)
      return (
        rows,
        RowDelivery(
          slots: Tensor(slots, shape: [slots.count]), lengths: packed.lengths, pooled: packed.pooled,
          values: packed.values)
      )
    }
  }
}
