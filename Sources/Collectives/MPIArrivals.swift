#if MPI
  import CMPI

  /// What MPI answered a call with.
  struct MPICode: Error {
    let code: Int32
  }

  /// Messages on their way in. None is waited for: of one whose sender dies half-way the rest never comes.
  struct MPIArrivals {
    private struct Arrival {
      /// Nil once all of it is there.
      var request: OpaquePointer?
      let message: MPIMessage
      let from: Int
    }

    /// In the order in which they were sent, of each sender.
    private var arrivals: [Arrival] = []

    var isEmpty: Bool { arrivals.isEmpty }

    /// - Returns: false where none has begun to arrive.
    mutating func matchNext() throws(MPICode) -> Bool {
      var (kind, from): (Int32, Int32) = (0, 0)
      var units = 0
      var request: OpaquePointer?
      try Self.check(cmpi_probe(&kind, &from, &units, &request))
      guard let request else { return false }
      let message = MPIMessage(units: units, kind: kind)
      try Self.check(cmpi_receive(message.memory, units, request))
      arrivals.append(Arrival(request: request, message: message, from: Int(from)))
      return true
    }

    /// Those that are there with all that their sender sent before; signs of life do not wait for that.
    mutating func takeComplete() throws(MPICode) -> [(message: MPIMessage, from: Int)] {
      var complete: [(MPIMessage, Int)] = []
      var left: [Arrival] = []
      var late: Set<Int> = []
      for var arrival in arrivals {
        if arrival.request != nil {
          var isThere: Int32 = 0
          try Self.check(cmpi_test(&arrival.request, &isThere))
        }
        let isData = arrival.message.kind == Int32(cmpi_data)
        if arrival.request == nil, !isData || !late.contains(arrival.from) {
          complete.append((arrival.message, arrival.from))
        } else {
          if isData { late.insert(arrival.from) }
          left.append(arrival)
        }
      }
      arrivals = left
      return complete
    }

    private static func check(_ code: Int32) throws(MPICode) {
      guard code == 0 else { throw MPICode(code: code) }
    }
  }
#endif
