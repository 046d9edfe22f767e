package account

import (
	"encoding/binary"
	"math"
	"math/bits"

	"golang.org/x/crypto/blake2b"
)

// argon2id is RFC 9106 in the goroutine that calls it, lane after lane: the
// implementation of x/crypto works in goroutines of its own, whose threads have
// a priority of their own (see aside). It is as fast as memory is.
func argon2id(secret, salt []byte, p Params, size int) []byte {
	lanes := uint32(p.Threads)
	segment := p.Memory / (syncPoints * lanes)
	a := argon{lanes: lanes, segment: segment, lane: segment * syncPoints, passes: p.Time}
	a.memory = make([]block, a.lane*lanes)
	h0 := a.begin(secret, salt, p, size)
	for l := range lanes {
		for i := range uint32(2) {
			a.memory[l*a.lane+i].read(stretch(blockSize, h0, le32(i), le32(l)))
		}
	}
	for pass := range p.Time {
		for slice := range uint32(syncPoints) {
			for l := range lanes {
				a.fill(pass, slice, l)
			}
		}
	}
	last := a.memory[a.lane-1]
	for l := uint32(1); l < lanes; l++ {
		last.xor(&a.memory[(l+1)*a.lane-1])
	}
	return stretch(size, last.bytes())
}

const (
	syncPoints    = 4
	blockWords    = 128
	blockSize     = 8 * blockWords
	argon2Version = 0x13
	argon2idType  = 2
)

type block [blockWords]uint64

func (b *block) read(from []byte) {
	for i := range b {
		b[i] = binary.LittleEndian.Uint64(from[8*i:])
	}
}

func (b *block) bytes() []byte {
	out := make([]byte, 0, blockSize)
	for _, w := range b {
		out = binary.LittleEndian.AppendUint64(out, w)
	}
	return out
}

func (b *block) xor(other *block) {
	for i := range b {
		b[i] ^= other[i]
	}
}

// argon is a computation under way (RFC 9106 §3.2).
type argon struct {
	memory  []block
	lanes   uint32
	lane    uint32 // blocks of a lane
	segment uint32 // blocks of a lane between two points of synchronisation
	passes  uint32
}

// begin is H0.
func (a *argon) begin(secret, salt []byte, p Params, size int) []byte {
	h, _ := blake2b.New512(nil)                                                                                                       // fails only for a key
	for _, n := range []uint32{uint32(p.Threads), uint32(size), p.Memory, p.Time, argon2Version, argon2idType, uint32(len(secret))} { //nolint:gosec // bounded before
		h.Write(le32(n))
	}
	h.Write(secret)
	h.Write(le32(uint32(len(salt)))) //nolint:gosec // as above
	h.Write(salt)
	h.Write(le32(0)) // no secret key: the secret is keyed already
	h.Write(le32(0)) // no associated data
	return h.Sum(nil)
}

// fill computes one segment (§3.4).
func (a *argon) fill(pass, slice, l uint32) {
	var addresses, input block
	independent := pass == 0 && slice < syncPoints/2
	first := uint32(0)
	if pass == 0 && slice == 0 {
		first = 2
	}
	input[0], input[1], input[2] = uint64(pass), uint64(l), uint64(slice)
	input[3], input[4], input[5] = uint64(a.lane*a.lanes), uint64(a.passes), argon2idType
	for i := first; i < a.segment; i++ {
		if independent && (i == first || i%blockWords == 0) {
			input[6]++
			addresses = block{}
			compress(&addresses, &input, &block{}, false)
			was := addresses
			compress(&addresses, &was, &block{}, false)
		}
		at := slice*a.segment + i
		before := (at + a.lane - 1) % a.lane
		random := a.memory[l*a.lane+before][0]
		if independent {
			random = addresses[i%blockWords]
		}
		ref := a.reference(pass, slice, l, i, random)
		compress(&a.memory[l*a.lane+at], &a.memory[l*a.lane+before], &a.memory[ref], pass > 0)
	}
}

// reference chooses the other block that a block is made of (§3.4.2).
func (a *argon) reference(pass, slice, l, i uint32, random uint64) uint32 {
	from := uint32(random>>32) % a.lanes
	if pass == 0 && slice == 0 {
		from = l
	}
	size, start := slice*a.segment, uint32(0)
	if pass > 0 {
		size, start = a.lane-a.segment, (slice+1)%syncPoints*a.segment
	}
	switch {
	case from == l:
		size += i - 1
	case i == 0:
		size--
	}
	x := random & 0xffffffff
	x = x * x >> 32
	x = uint64(size) * x >> 32
	return from*a.lane + uint32((uint64(start)+uint64(size)-1-x)%uint64(a.lane)) //nolint:gosec // below the size of a lane
}

// compress is G (§3.5). With over what was there stays in it.
func compress(out, x, y *block, over bool) {
	var r, z block
	for i := range r {
		r[i] = x[i] ^ y[i]
	}
	z = r
	for i := 0; i < blockWords; i += 16 {
		permute(&z, i, 2)
	}
	for i := 0; i < 16; i += 2 {
		permute(&z, i, 16)
	}
	if over {
		for i := range out {
			out[i] ^= r[i] ^ z[i]
		}
		return
	}
	for i := range out {
		out[i] = r[i] ^ z[i]
	}
}

// permute is P (§3.6) on eight pairs of words: the first at at, the next one step on.
func permute(b *block, at, step int) {
	p0, p1, p2, p3 := at, at+step, at+2*step, at+3*step
	p4, p5, p6, p7 := at+4*step, at+5*step, at+6*step, at+7*step
	v0, v1, v2, v3, v4, v5, v6, v7 := b[p0], b[p0+1], b[p1], b[p1+1], b[p2], b[p2+1], b[p3], b[p3+1]
	v8, v9, va, vb, vc, vd, ve, vf := b[p4], b[p4+1], b[p5], b[p5+1], b[p6], b[p6+1], b[p7], b[p7+1]
	v0, v4, v8, vc = mix(v0, v4, v8, vc, -32, -24)
	v0, v4, v8, vc = mix(v0, v4, v8, vc, -16, -63)
	v1, v5, v9, vd = mix(v1, v5, v9, vd, -32, -24)
	v1, v5, v9, vd = mix(v1, v5, v9, vd, -16, -63)
	v2, v6, va, ve = mix(v2, v6, va, ve, -32, -24)
	v2, v6, va, ve = mix(v2, v6, va, ve, -16, -63)
	v3, v7, vb, vf = mix(v3, v7, vb, vf, -32, -24)
	v3, v7, vb, vf = mix(v3, v7, vb, vf, -16, -63)
	v0, v5, va, vf = mix(v0, v5, va, vf, -32, -24)
	v0, v5, va, vf = mix(v0, v5, va, vf, -16, -63)
	v1, v6, vb, vc = mix(v1, v6, vb, vc, -32, -24)
	v1, v6, vb, vc = mix(v1, v6, vb, vc, -16, -63)
	v2, v7, v8, vd = mix(v2, v7, v8, vd, -32, -24)
	v2, v7, v8, vd = mix(v2, v7, v8, vd, -16, -63)
	v3, v4, v9, ve = mix(v3, v4, v9, ve, -32, -24)
	v3, v4, v9, ve = mix(v3, v4, v9, ve, -16, -63)
	b[p0], b[p0+1], b[p1], b[p1+1], b[p2], b[p2+1], b[p3], b[p3+1] = v0, v1, v2, v3, v4, v5, v6, v7
	b[p4], b[p4+1], b[p5], b[p5+1], b[p6], b[p6+1], b[p7], b[p7+1] = v8, v9, va, vb, vc, vd, ve, vf
}

// mix is a half of GB: as a whole the compiler would not put it in line.
func mix(a, b, c, d uint64, turnD, turnB int) (uint64, uint64, uint64, uint64) {
	a += b + 2*low(a)*low(b)
	d = bits.RotateLeft64(d^a, turnD)
	c += d + 2*low(c)*low(d)
	return a, bits.RotateLeft64(b^c, turnB), c, d
}

// stretch is H' (§3.3).
func stretch(size int, parts ...[]byte) []byte {
	v := digest(min(size, blake2b.Size), append([][]byte{le32(uint32(size))}, parts...)...) //nolint:gosec // bounded before
	const half = blake2b.Size / 2
	var out []byte
	for ; size > blake2b.Size; size -= half {
		out = append(out, v[:half]...)
		v = digest(min(size-half, blake2b.Size), v)
	}
	return append(out, v[:size]...)
}

func digest(size int, parts ...[]byte) []byte {
	h, _ := blake2b.New(size, nil) // fails only for sizes out of 1 to 64
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

func le32(n uint32) []byte { return binary.LittleEndian.AppendUint32(nil, n) }

// low is the lower half of a word.
func low(w uint64) uint64 { return w & math.MaxUint32 }
