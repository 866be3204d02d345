import Files
import Foundation
import Foundations
import Models
import Protocol
import Service

/// A deployment as the service thread knows it.
final class Deployment {
  let id: JobID
  /// Nil where its files are too damaged to tell.
  let owner: OwnerKey?
  private(set) var description: DeploymentDescription
  /// By key.
  private(set) var clients: [OwnerKey: DeploymentDescription.Client] = [:]
  private(set) var book: QuestionBook
  /// Nil while it can be served.
  private(set) var problem: DeploymentProblem?
  private(set) var isLogDamaged = false
  /// The connection that deployed it last; nil after a restart.
  var maker: PeerID?
  var latencies = Latencies()
  private var log: LineLog?
  /// Lines that its log has at least, as far as is known.
  private var shortestLog = 0
  /// Lines that were added since its log is being written anew; nil while it is not.
  private var linesMeanwhile: [String]?
  /// Whether lines were written that may not be on the disk yet.
  private var isUnsynced = false

  /// Of a deployment that was just written.
  init(_ id: JobID, owner: OwnerKey, _ description: DeploymentDescription) {
    self.id = id
    self.owner = owner
    self.description = description
    book = QuestionBook()
    putInForce(description)
  }

  /// Of one in the store. A damaged one answers its clients, as far as they are known, that it is.
  init(_ loaded: LoadedDeployment) {
    id = loaded.id
    owner = loaded.owner
    book = loaded.book
    problem = loaded.problem
    isLogDamaged = loaded.isLogDamaged
    description =
      loaded.description ?? DeploymentDescription(revision: 0, clients: [], maximumRows: nil, endsWithOwner: false)
    putInForce(description)
  }

  /// Keys that may ask, or may ask to hear that they cannot.
  var admitted: Set<OwnerKey> {
    problem == nil ? Set(clients.keys) : Set(clients.keys).union(book.askers)
  }

  /// Whether its description could be read.
  var isDescribed: Bool { description.revision > 0 }

  func isAdmitted(_ key: OwnerKey) -> Bool {
    clients[key] != nil || problem != nil && book.hasAsked(key)
  }

  func putInForce(_ description: DeploymentDescription) {
    self.description = description
    clients = Dictionary(
      description.clients.compactMap { client in OwnerKey(z85: client.key).map { ($0, client) } },
      uniquingKeysWith: { first, _ in first })
  }

  // MARK: - Counting

  /// Where counted questions are written from now on; a damaged deployment is whole with it.
  func open(_ log: LineLog) {
    self.log = log
    shortestLog = log.lineCount
    problem = nil
    isLogDamaged = false
  }

  func fails(with problem: DeploymentProblem) {
    self.problem = problem
    log = nil
  }

  /// Writes down what is about to be answered.
  ///
  /// - Throws: `ServiceError`; then it is not to be answered, and nothing is counted: of kind `.exhausted` when it cannot be written; refused
  ///   when so much was counted since it came that it could not be told from what was counted before.
  func count(_ record: QuestionRecord) throws(ServiceError) {
    guard book.takes(record) else {
      throw .refused(
        "so many later questions or sessions of this client were answered meanwhile that this one could not be told from one that was "
          + "counted before: number them upwards", cause: .otherRows)
    }
    let line = QuestionLog.line(record)
    do {
      guard let log else { throw ServiceError(.defect, "its log is not open") }
      try log.append(line)
    } catch {
      throw ServiceError(
        .exhausted, "the trainer cannot write down that it answers this question; ask its operator", cause: .exhausted)
    }
    linesMeanwhile?.append(line)
    isUnsynced = true
    _ = book.add(record)
  }

  // MARK: - A shorter log

  /// What its log is to be written anew from, if it has more lines than twice those that it needs and `allowance` beside; call
  /// `endShorterLog` then.
  func beginShorterLog(allowance: Int) -> QuestionBook? {
    guard let log, linesMeanwhile == nil, log.lineCount / 2 > shortestLog + allowance / 2 else { return nil }
    linesMeanwhile = []
    return book
  }

  /// - Parameter shorter: nil when it could not be written: the log goes on, and it is tried again after as many lines more.
  /// - Throws: `FileError` when it cannot be put in the log's place; the same holds.
  func endShorterLog(_ shorter: ShorterQuestionLog?) throws(FileError) {
    let lines = linesMeanwhile ?? []
    linesMeanwhile = nil
    shortestLog = log?.lineCount ?? 0
    guard let shorter, log != nil else { return }
    // Whether it has the place by now: what is written to a log that has lost it is lost. Open again below, whichever is there.
    log = nil
    defer { if log == nil { log = try? LineLog(path: shorter.path) } }
    log = try shorter.publish(adding: lines)
    shortestLog = max(0, (log?.lineCount ?? 0) - lines.count)
    isUnsynced = false
  }

  /// What is to be synced, once.
  func takeUnsynced() -> LineLog? {
    guard isUnsynced else { return nil }
    isUnsynced = false
    return log
  }

  // MARK: - What is told

  func terms(for key: OwnerKey, _ client: DeploymentDescription.Client, copy: JobDescription, window: Int)
    -> DeploymentTerms
  {
    DeploymentTerms(
      keyNumber: client.keyNumber, package: client.package, window: window, rowsPerQuestion: copy.microBatch,
      maximumTokens: copy.graph.maximumTokens, rowsSeen: book.rows, maximumRows: description.maximumRows,
      lastQuestion: book.lastQuestion(of: key), lastSession: book.lastSession(of: key))
  }

  /// - Parameter inMemory: bytes of copies.
  func figures(inMemory: [JobID: Int]) -> DeploymentFigures.Deployment {
    DeploymentFigures.Deployment(
      memoryBytes: description.copies.reduce(0) { $0 + (inMemory[$1] ?? 0) },
      medianMilliseconds: latencies.quantile(0.5), slowMilliseconds: latencies.quantile(0.95))
  }

  func status(storedBytes: Int, figures: DeploymentFigures.Deployment) -> DeploymentStatus {
    DeploymentStatus(
      id: id, revision: description.revision,
      clients: description.clients.map { client in
        let key = OwnerKey(z85: client.key)
        return DeploymentStatus.Client(
          key: client.key, keyNumber: client.keyNumber, questions: key.map(book.questions) ?? 0,
          rows: key.map(book.rows) ?? 0)
      },
      questions: book.questions, rows: book.rows, maximumRows: description.maximumRows, storedBytes: storedBytes,
      memoryBytes: figures.memoryBytes, medianMilliseconds: figures.medianMilliseconds,
      slowMilliseconds: figures.slowMilliseconds, damaged: problem?.fileName)
  }
}

/// How long the last thousand answers took.
struct Latencies {
  private static let kept = 1000

  private var milliseconds: [Double] = []
  private var next = 0

  mutating func add(_ duration: Duration) {
    let elapsed = duration / .milliseconds(1)
    if milliseconds.count < Self.kept {
      milliseconds.append(elapsed)
    } else {
      milliseconds[next] = elapsed
      next = (next + 1) % Self.kept
    }
  }

  /// In milliseconds: the least that as large a part of them as `part` does not exceed; nil where there are none.
  func quantile(_ part: Double) -> Double? {
    guard !milliseconds.isEmpty else { return nil }
    let place = Int((part * Double(milliseconds.count)).rounded(.up)) - 1
    return milliseconds.sorted()[min(max(place, 0), milliseconds.count - 1)]
  }
}
