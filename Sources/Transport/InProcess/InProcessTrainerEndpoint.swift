/// The trainer's end of an `InProcessNetwork`.
package final class InProcessTrainerEndpoint: TrainerEndpoint {
  private let network: InProcessNetwork
  private let number: Int

  init(network: InProcessNetwork, number: Int) {
    self.network = network
    self.number = number
  }

  package func receive(timeout: Duration) throws(TransportError) -> IncomingMessage? {
    try network.receive(endpoint: number, timeout: timeout)
  }

  package func send(_ message: Message, to peer: PeerID) throws(TransportError) {
    try network.send(message, to: peer, endpoint: number)
  }

  package func wake() {
    network.wake(endpoint: number)
  }

  package func close() {
    network.close(endpoint: number)
  }
}
