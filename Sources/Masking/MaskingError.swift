package import Models
package import Foundations

/// Everything the masking side refuses. No description holds key material or a value of the data.
package enum MaskingError: Failure, Equatable {
  /// The optimizer does not commute with the keys the strength asks for.
  case notExact(optimizer: OptimizerDescription.Kind, largest: SymmetryGroup, strength: MaskingStrength)
  /// A constraint or a parameter names a space that the model or the plan does not have.
  case unknownSpace(SpaceID)
  /// The form of a space's key contradicts its width or another space's form.
  case spaceForm(SpaceID, problem: String)
  /// A tensor or a label has another shape than the plan says. `what` names it: "layers.0.weight".
  case shape(what: String, expected: [Int], found: [Int])
  /// CSR parts that contradict one another or point outside the columns.
  case sparseRows(problem: String)
  /// A class id of `classes` or above.
  case classOutOfRange(classes: Int)
  /// A missing target cannot be rotated: every masked coordinate would be missing.
  case missingTarget(space: SpaceID)
  /// The operation needs a key of at most `largest`, and the space's key is larger.
  case needsSmallerGroup(what: String, space: SpaceID, largest: SymmetryGroup, found: SymmetryGroup)
  /// A run whose keys were expanded by rules that this program does not know.
  case keyExpansion(version: Int)
  case keyFileExists(path: String)
  /// `reason` is the operating system's.
  case keyFileUnusable(path: String, reason: String)
  /// No room to write it.
  case keyFileNeedsRoom(path: String, reason: String)
  /// Group or others may read or write it.
  case keyFileExposed(path: String)
  case notAKeyFile(path: String)
  case keyFileOfAnotherJob(path: String)
  /// A deployment's key that its owner did not seal for this client.
  case sealedKey
  /// A client's public key of low order, to which nothing can be sealed.
  case recipientKey

  package var kind: FailureKind {
    switch self {
    case .notExact, .needsSmallerGroup, .keyExpansion: .usage
    case .unknownSpace, .spaceForm: .defect
    case .shape, .sparseRows, .classOutOfRange, .missingTarget: .inputData
    case .keyFileNeedsRoom: .exhausted
    case .keyFileExists, .keyFileUnusable, .keyFileExposed, .notAKeyFile, .keyFileOfAnotherJob,
      .sealedKey, .recipientKey:
      .keyOrPermission
    }
  }

  package var description: String {
    switch self {
    case .notExact(let optimizer, let largest, let strength):
      """
      optimizer \(optimizer.rawValue) would not train exactly under masking.strength: \(strength.rawValue): its update \
      commutes with \(largest.rawValue) keys at most; set masking.strength: permutation, or optimizer.name: sgd or muon, \
      or masking.exact: false to accept a trajectory that differs from plaintext training
      """
    case .unknownSpace(let space):
      "the key plan has no space \(space)"
    case .spaceForm(let space, let problem):
      "space \(space) cannot be keyed: \(problem)"
    case .shape(let what, let expected, let found):
      "\(what) has shape \(found) where \(expected) is needed"
    case .sparseRows(let problem):
      "sparse rows cannot be masked: \(problem)"
    case .classOutOfRange(let classes):
      "a class id lies beyond the last of \(classes) classes"
    case .missingTarget(let space):
      """
      a target of space \(space) is missing (NaN) and its key is a rotation, which would spread it over the whole row; \
      set loss.where: owner or masking.strength: permutation
      """
    case .needsSmallerGroup(let what, let space, let largest, let found):
      "\(what) needs a \(largest.rawValue) key on space \(space), which has one of \(found.rawValue)"
    case .keyExpansion(let version):
      "the run's keys were expanded by version \(version) of the rules, which this program does not know; use the version that made the run"
    case .keyFileExists(let path):
      "\(path) exists already; a key is never overwritten: choose another directory, or move the old key away first"
    case .keyFileUnusable(let path, let reason):
      "key file \(path): \(reason)"
    case .keyFileNeedsRoom(let path, let reason):
      "cannot write the key file \(path): \(reason); free space on that file system and start again"
    case .keyFileExposed(let path):
      "key file \(path) is open to other users; run: chmod 600 \(path)"
    case .notAKeyFile(let path):
      "\(path) is not a key file of this program, or is cut short or damaged; restore it from a copy"
    case .keyFileOfAnotherJob(let path):
      "\(path) is a key file of another job; use the one of this run's directory"
    case .sealedKey:
      "the masking key that the host handed out does not open: the deployment's owner did not seal it for this client, or it was altered; "
        + "ask the owner for the client's directory again"
    case .recipientKey:
      "a client's public key is one that hides nothing (of low order); ask the client for the owner.pub that `encryptor keygen` made"
    }
  }
}
