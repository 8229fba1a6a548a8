"""slice"""
