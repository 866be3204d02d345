#if MPI
  import CMPI
  import Numerics

  /// The thread that calls MPI: starts what is asked for, moves it on, receives, and finds out whether other ranks still answer.
  struct MPIProgress {
    private struct Active {
      var request: OpaquePointer?
      let pending: PendingOperation?
      /// Kept until it is sent.
      let message: MPIMessage?
    }

    private var pause = PollingPause()
    /// A rank whose thread for MPI answers nothing for so long is gone; where there is a reason to doubt, after less, but more than
    /// a busy node or a continued job takes.
    private static let silence = (usual: Duration.seconds(60), doubted: Duration.seconds(5))
    private static let pings = (usual: Duration.seconds(1), doubted: Duration.milliseconds(100))

    private let operations: MPIOperations
    private let clock = ContinuousClock()
    private var (rank, size) = (0, 1)
    private var active: [Active] = []
    private var incoming = MPIArrivals()
    /// By rank: when the ping that waits for an answer was sent. Only rank 0 sends any.
    private var unanswered: [Int: ContinuousClock.Instant] = [:]
    /// When another rank was last heard of.
    private var heard: ContinuousClock.Instant
    private var lastPing: ContinuousClock.Instant
    private var doubtedSince: ContinuousClock.Instant?
    private var lastWatch: ContinuousClock.Instant
    private var isLeaving = false

    init(_ operations: MPIOperations) {
      self.operations = operations
      (heard, lastPing, lastWatch) = (clock.now, clock.now, clock.now)
    }

    mutating func initialize() -> Result<(Int, Int), CollectiveError> {
      cmpi_sleep_precisely()
      var (rank, size): (Int32, Int32) = (0, 1)
      let code = cmpi_initialize(&rank, &size)
      guard code == 0 else { return .failure(.library(Self.text(code))) }
      (self.rank, self.size) = (Int(rank), Int(size))
      return .success((self.rank, self.size))
    }

    mutating func run() {
      (heard, lastPing) = (clock.now, clock.now)
      while true {
        let (asked, requests) = operations.take(waiting: pause.next)
        if let code = requests.abortCode { cmpi_abort(code) }
        if operations.failure == nil {
          if requests.checksRanks { doubtedSince = clock.now }
          var hasMoved = !asked.isEmpty
          for (operation, pending) in asked { start(operation, pending) }
          if testAll() { hasMoved = true }
          if receiveAll() { hasMoved = true }
          watchRanks(isEnding: requests.ends)
          pause.polled(
            hasMoved: hasMoved, isAwaited: active.contains { $0.pending?.isAwaited == true },
            hasMessages: !incoming.isEmpty || active.contains { $0.message != nil }, hasSums: !active.isEmpty)
        } else {
          for (_, pending) in asked { operations.failure.map { pending?.fail($0) } }
          // What is under way stays as it is: nothing of it can be waited for.
          if let failure = operations.failure { failAll(failure) }
          pause.stop()
        }
        // In this order: after a failure no operation is begun.
        if requests.ends, operations.failure != nil || leave() {
          if operations.failure == nil { _ = cmpi_finalize() }
          operations.fail(.finished)
          return
        }
      }
    }

    /// A ping or its answer that nobody receives any more could keep its sender in MPI for ever. So rank 0 first stops to send pings and waits
    /// for the answers to those that it sent, and all ranks answer until then.
    ///
    /// - Returns: whether all ranks have come to their end, and nothing is under way, here or to here.
    private mutating func leave() -> Bool {
      if !isLeaving, unanswered.isEmpty {
        isLeaving = true
        start(.barrier, nil)
      }
      return isLeaving && active.isEmpty && incoming.isEmpty
    }

    private mutating func start(_ operation: MPIOperation, _ pending: PendingOperation?) {
      var request: OpaquePointer?
      var message: MPIMessage?
      let code: Int32
      switch operation {
      case .sum(let memory, let count, .float64):
        code = cmpi_sum_doubles(memory.base.assumingMemoryBound(to: Double.self), count, &request)
      case .sum(let memory, let count, _):
        code = cmpi_sum_floats(memory.base.assumingMemoryBound(to: Float.self), count, &request)
      case .broadcast(let memory, let count, let root):
        code = cmpi_broadcast(memory.base, count, Int32(root), &request)
      case .barrier:
        code = cmpi_barrier(&request)
      case .send(let sent, let rank):
        message = sent
        code = cmpi_send(sent.memory, sent.units, Int32(rank), sent.kind, &request)
      }
      guard code == 0, request != nil else {
        pending?.fail(.library(Self.text(code)))
        return fail(code)
      }
      active.append(Active(request: request, pending: pending, message: message))
    }

    /// - Returns: whether something is complete.
    private mutating func testAll() -> Bool {
      var left: [Active] = []
      var isAny = false
      for var one in active {
        var isComplete: Int32 = 0
        let code = cmpi_test(&one.request, &isComplete)
        if code != 0 {
          one.pending?.fail(.library(Self.text(code)))
          fail(code)
        } else if isComplete != 0 {
          one.pending?.complete()
          isAny = true
        } else {
          left.append(one)
        }
      }
      active = left
      if let failure = operations.failure { failAll(failure) }
      return isAny
    }

    /// - Returns: whether a message was found, or is there.
    private mutating func receiveAll() -> Bool {
      var isAny = false
      do {
        while operations.failure == nil, try incoming.matchNext() { isAny = true }
        for (message, rank) in try incoming.takeComplete() {
          isAny = true
          take(message, from: rank)
        }
      } catch {
        fail(error.code)
      }
      return isAny
    }

    private mutating func take(_ message: MPIMessage, from rank: Int) {
      heard = clock.now
      switch message.kind {
      case Int32(cmpi_ping): sendSign(Int32(cmpi_pong), to: rank)
      case Int32(cmpi_pong): unanswered[rank] = nil
      default:
        guard let content = message.content else { return lose(.library("a message whose length does not fit")) }
        operations.deliver(content, from: rank)
      }
    }

    /// Signs of life are empty: what is longer than its eager limit Open MPI keeps back until the receiver asks for it.
    private mutating func sendSign(_ kind: Int32, to rank: Int) {
      start(.send(MPIMessage(units: 0, kind: kind), rank: rank), nil)
    }

    private mutating func watchRanks(isEnding: Bool) {
      guard size > 1, !isEnding, operations.failure == nil else { return }
      let now = clock.now
      if lastWatch.duration(to: now) > .seconds(5) {
        // This process was suspended, and the others with it.
        unanswered = unanswered.mapValues { _ in now }
        heard = now
      }
      lastWatch = now
      guard rank == 0 else {
        if heard.duration(to: now) > Self.silence.usual { lose(.rankLost(0)) }
        return
      }
      let silence = doubtedSince == nil ? Self.silence.usual : Self.silence.doubted
      for (rank, sent) in unanswered where max(sent, doubtedSince ?? sent).duration(to: now) > silence {
        return lose(.rankLost(rank))
      }
      if let since = doubtedSince, since.duration(to: now) > .seconds(10) { doubtedSince = nil }
      guard lastPing.duration(to: now) > (doubtedSince == nil ? Self.pings.usual : Self.pings.doubted) else { return }
      lastPing = now
      for rank in 1..<size where unanswered[rank] == nil {
        unanswered[rank] = now
        sendSign(Int32(cmpi_ping), to: rank)
      }
    }

    private mutating func fail(_ code: Int32) {
      lose(.library(Self.text(code)))
    }

    private mutating func lose(_ error: CollectiveError) {
      operations.fail(error)
      failAll(error)
    }

    private func failAll(_ error: CollectiveError) {
      for one in active { one.pending?.fail(error) }
    }

    private static func text(_ code: Int32) -> String {
      var text = [CChar](repeating: 0, count: 512)
      cmpi_error_text(code, &text, text.count)
      return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
  }
#endif

/// How long the thread that calls MPI sleeps before it polls again. Each poll costs some 30 microseconds of a core that others compute on, and
/// what has arrived waits for the next one.
struct PollingPause {
  /// In seconds: the shortest pause, and the longest while a message is under way, which somebody may wait for; while sums are, beside a
  /// backward pass; and while nothing is. The last one delays only what arrives after a long time, by little compared with that time.
  private static let (shortest, withMessages, withSums, longest) = (50e-6, 1e-3, 4e-3, 10e-3)

  /// Seconds.
  private(set) var next = 0.0

  /// - Parameters:
  ///   - hasMoved: something was asked for, arrived or was completed since.
  ///   - isAwaited: somebody does nothing but wait for what is under way.
  ///   - hasMessages: one is being sent or received.
  ///   - hasSums: one, or another collective operation, is under way.
  mutating func polled(hasMoved: Bool, isAwaited: Bool, hasMessages: Bool, hasSums: Bool) {
    if hasMoved {
      next = 0
    } else if isAwaited {
      next = Self.shortest
    } else {
      // Doubled each time, so that no wait takes more than twice as long as it must.
      let maximum = hasMessages ? Self.withMessages : hasSums ? Self.withSums : Self.longest
      next = min(max(2 * next, Self.shortest), maximum)
    }
  }

  /// After a failure, when there is nothing left to move on.
  mutating func stop() {
    next = 0.1
  }
}
