"""Recurrent layers over time: one layer, one direction, a whole sequence (Elman 1990; Hochreiter & Schmidhuber 1997).

Rows of all time steps lie one after the other, time first: step t has steps[t] rows, and no step has more rows than the
one before it. Sequences of one length have steps = (N,) * T; of several lengths, sorted from long to short, each step
holds the sequences that are still running. M = sum(steps) rows, N = the rows of h0, H = hidden size.

gx holds the part of the gates that comes from the input, for all steps at once: x W_ih^T + b. The loop adds the rest.
float16 is computed in float32 inside of the loop.
"""

from __future__ import annotations

from deepcore.backends.base.array import accumulator


def spans(steps, reverse: bool) -> list[tuple[int, int]]:
    """Return the first and last row (exclusive) of each step, in the order in which the steps are computed.

    >>> spans((3, 2), False), spans((3, 2), True)
    ([(0, 3), (3, 5)], [(3, 5), (0, 3)])
    """
    found, first = [], 0
    for n in steps:
        found.append((first, first + n))
        first += n
    return found[::-1] if reverse else found


def previous(xp, states, start, steps, reverse: bool):
    """Return, for each row of states (M, H), the state before its step; `start` (N, H) is that before the first."""
    out = xp.empty_like(states)
    before = (0, 0)
    for first, last in spans(steps, reverse):
        running = min(last - first, before[1] - before[0])
        out[first : first + running] = states[before[0] : before[0] + running]
        out[first + running : last] = start[running : last - first]
        before = (first, last)
    return out


def blocks(x, count: int) -> list:
    """Return x (n, count * H) as `count` arrays (n, H)."""
    size = x.shape[1] // count
    return [x[:, k * size : (k + 1) * size] for k in range(count)]


class Recurrent:
    """Recurrent layers and their gradients through time; a mixin of Backend."""

    def rnn(self, gx, h0, w_hh, steps, reverse, nonlinearity):
        """Return (y (M, H), h_n (N, H)) of h' = f(gx + h W_hh^T), f being "tanh" or "relu"; w_hh (H, H)."""
        wide = accumulator(gx.dtype)
        h, w = h0.astype(wide), w_hh.T.astype(wide, copy=False)
        y = self.xp.empty((gx.shape[0], h0.shape[1]), dtype=gx.dtype)
        for first, last in spans(steps, reverse):
            n = last - first
            a = gx[first:last] + self.matmul(h[:n], w)
            h[:n] = self.xp.tanh(a) if nonlinearity == "tanh" else self.relu(a)
            y[first:last] = h[:n]
        return y, h.astype(gx.dtype, copy=False)

    def rnn_grad(self, dy, dh_n, y, w_hh, steps, reverse, nonlinearity):
        """Return (dgx (M, H), dh0 (N, H)) of rnn, from its output y."""
        wide = accumulator(dy.dtype)
        dh, w = dh_n.astype(wide), w_hh.astype(wide, copy=False)
        dgx = self.xp.empty_like(y)
        for first, last in reversed(spans(steps, reverse)):
            n = last - first
            g, out = dh[:n] + dy[first:last], y[first:last].astype(wide, copy=False)
            g = g * (1 - out * out) if nonlinearity == "tanh" else self.relu_grad(g, out)
            dgx[first:last] = g
            dh[:n] = self.matmul(g, w)
        return dgx, dh.astype(dy.dtype, copy=False)

    def lstm(self, gx, h0, c0, w_hh, peephole, steps, reverse):
        """Return (y, h_n, c_n, gates, cells) of an LSTM with gx (M, 4H) and w_hh (4H, H) in the order i, f, g, o.

        c' = f * c + i * g, h' = o * tanh(c'); gates (M, 4H) and cells (M, H) are what the gradient needs. peephole
        (3, H) or None: diagonal weights from the old cell to i and f, and from the new cell to o (Gers & Schmidhuber
        2000).
        """
        wide, size = accumulator(gx.dtype), h0.shape[1]
        h, c, w = h0.astype(wide), c0.astype(wide), w_hh.T.astype(wide, copy=False)
        p = None if peephole is None else peephole.astype(wide, copy=False)
        y, cells = (self.xp.empty((gx.shape[0], size), dtype=gx.dtype) for _ in range(2))
        gates = self.xp.empty((gx.shape[0], 4 * size), dtype=gx.dtype)
        for first, last in spans(steps, reverse):
            n = last - first
            old = c[:n]
            i, f, g, o = blocks(gx[first:last] + self.matmul(h[:n], w), 4)
            if p is not None:
                i, f = i + p[0] * old, f + p[1] * old
            i, f, g = self.sigmoid(i), self.sigmoid(f), self.xp.tanh(g)
            new = f * old + i * g
            o = self.sigmoid(o if p is None else o + p[2] * new)
            h[:n] = o * self.xp.tanh(new)
            c[:n] = new
            y[first:last], cells[first:last] = h[:n], new
            gates[first:last] = self.xp.concatenate((i, f, g, o), axis=1)
        return y, h.astype(gx.dtype, copy=False), c.astype(gx.dtype, copy=False), gates, cells

    def lstm_grad(self, dy, dh_n, dc_n, gates, cells, c0, w_hh, peephole, steps, reverse):
        """Return (dgx (M, 4H), dh0, dc0) of lstm, from its gates and cells."""
        wide, xp = accumulator(dy.dtype), self.xp
        dh, dc, w = dh_n.astype(wide), dc_n.astype(wide), w_hh.astype(wide, copy=False)
        p = None if peephole is None else peephole.astype(wide, copy=False)
        olds = previous(xp, cells, c0, steps, reverse)
        dgx = xp.empty_like(gates)
        for first, last in reversed(spans(steps, reverse)):
            n = last - first
            i, f, g, o = blocks(gates[first:last].astype(wide, copy=False), 4)
            t = xp.tanh(cells[first:last].astype(wide, copy=False))
            gh = dh[:n] + dy[first:last]
            do = gh * t * o * (1 - o)
            gc = dc[:n] + gh * o * (1 - t * t)
            if p is not None:
                gc = gc + do * p[2]
            di, df, dg = gc * g * i * (1 - i), gc * olds[first:last] * f * (1 - f), gc * i * (1 - g * g)
            d = xp.concatenate((di, df, dg, do), axis=1)
            dgx[first:last] = d
            dh[:n] = self.matmul(d, w)
            dc[:n] = gc * f if p is None else gc * f + di * p[0] + df * p[1]
        return dgx, dh.astype(dy.dtype, copy=False), dc.astype(dy.dtype, copy=False)

    def gru(self, gx, h0, w_hh, b_hh, steps, reverse, reset_after):
        """Return (y, h_n, gates) of a GRU with gx (M, 3H), w_hh (3H, H), b_hh (3H,) or None in the order r, z, n.

        h' = (1 - z) * n + z * h, where n = tanh(gx_n + r * (W h + b)) with reset_after, else tanh(gx_n + W (r * h) + b)
        (Cho et al. 2014). gates (M, 4H): r, z, n, and W h + b with reset_after, else r * h.
        """
        wide, xp, size = accumulator(gx.dtype), self.xp, h0.shape[1]
        h, w = h0.astype(wide), w_hh.T.astype(wide, copy=False)
        b = 0 if b_hh is None else b_hh.astype(wide, copy=False)
        y = xp.empty((gx.shape[0], size), dtype=gx.dtype)
        gates = xp.empty((gx.shape[0], 4 * size), dtype=gx.dtype)
        for first, last in spans(steps, reverse):
            n = last - first
            old = h[:n]
            xr, xz, xn = blocks(gx[first:last].astype(wide, copy=False), 3)
            if reset_after:
                hr, hz, extra = blocks(self.matmul(old, w) + b, 3)
                r, z = self.sigmoid(xr + hr), self.sigmoid(xz + hz)
                new = xp.tanh(xn + r * extra)
            else:
                hr, hz = blocks(self.matmul(old, w[:, : 2 * size]) + (b if b_hh is None else b[: 2 * size]), 2)
                r, z = self.sigmoid(xr + hr), self.sigmoid(xz + hz)
                extra = r * old
                new = xp.tanh(xn + self.matmul(extra, w[:, 2 * size :]) + (b if b_hh is None else b[2 * size :]))
            gates[first:last] = xp.concatenate((r, z, new, extra), axis=1)
            h[:n] = (1 - z) * new + z * old
            y[first:last] = h[:n]
        return y, h.astype(gx.dtype, copy=False), gates

    def gru_grad(self, dy, dh_n, gates, y, h0, w_hh, steps, reverse, reset_after):
        """Return (dgx (M, 3H), dh0) of gru, from its output and gates."""
        wide, xp, size = accumulator(dy.dtype), self.xp, h0.shape[1]
        dh, w = dh_n.astype(wide), w_hh.astype(wide, copy=False)
        olds = previous(xp, y, h0, steps, reverse)
        dgx = xp.empty((y.shape[0], 3 * size), dtype=y.dtype)
        for first, last in reversed(spans(steps, reverse)):
            m = last - first
            r, z, n, extra = blocks(gates[first:last].astype(wide, copy=False), 4)
            g, old = dh[:m] + dy[first:last], olds[first:last]
            dz = g * (old - n) * z * (1 - z)
            dn = g * (1 - z) * (1 - n * n)
            if reset_after:
                dr = dn * extra * r * (1 - r)
                dh[:m] = g * z + self.matmul(xp.concatenate((dr, dz, dn * r), axis=1), w)
            else:
                inner = self.matmul(dn, w[2 * size :])
                dr = inner * old * r * (1 - r)
                dh[:m] = g * z + inner * r + self.matmul(xp.concatenate((dr, dz), axis=1), w[: 2 * size])
            dgx[first:last] = xp.concatenate((dr, dz, dn), axis=1)
        return dgx, dh.astype(dy.dtype, copy=False)
